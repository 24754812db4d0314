"""Measure how long the preset `fast` takes to reach the accuracy of the text's net after 20 epochs.

Usage: python benchmarks/time_to_accuracy.py FOLDER [--epochs N] [--seeds N]   (35 minutes; nothing else should run)

FOLDER has CIFAR-10 as images, as for `-S folder=`. The text's plain script trains for 20 epochs on all 50,000 images,
with the test set as its validation data, as in the text, once; then the train stage runs with the preset `fast`,
shortened to N epochs, and evaluate opens the test split, once a seed. It works in a temporary clone of the last commit
and leaves the checkout as it was. Both times are those of a whole process, from its start.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pipeline import ROOT, printed, run, set_params

from reprocnn.artifacts.files import atomic_folder, read_json
from reprocnn.artifacts.split import read_split

EPOCHS = 20
"""Of the text."""


def main() -> None:
    """Print what each reached, and when."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images of CIFAR-10, a folder per class")
    parser.add_argument("--epochs", type=int, default=2, help="of the preset fast (default: 2)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
        data = {"dataset": "folder", "folder": str(arguments.folder.resolve())}
        set_params(clone, **data)
        for stage in ("download", "preprocess"):
            run(clone, sys.executable, f"stages/{stage}.py")
        best, epoch, until_best, whole = text(clone)
        print(f"the text's script: best test accuracy {best:.2%} after epoch {epoch} and {until_best:.0f} s", end="; ")
        print(f"{EPOCHS} epochs: {whole:.0f} s", flush=True)
        run(clone, sys.executable, "-m", "reprocnn", "preset", "fast")
        for seed in range(arguments.seeds):
            set_params(clone, **data, epochs=arguments.epochs, seed=seed)
            run(clone, sys.executable, "stages/preprocess.py")
            ours = run(clone, sys.executable, "stages/train.py")
            run(clone, sys.executable, "stages/evaluate.py")
            reached = read_json(clone / "reports/metrics.json")["accuracy"]
            print(f"fast, {arguments.epochs} epochs, seed {seed}: test accuracy {reached:.2%}, {ours:.0f} s: ", end="")
            as_good = f"1/{whole / ours:.1f} of the text's script, 1/{until_best / ours:.1f} of it until its best epoch"
            print(as_good if reached >= best else "not as good", flush=True)


def text(clone: Path) -> tuple[float, int, float, float]:
    """Best test accuracy of the text's script, its epoch, the seconds until then, and those of the whole script."""
    arrays = clone / "data/text"
    for split, source in {"train": "train", "validation": "test"}.items():
        images, labels = read_split(clone / "data/raw" / source)
        with atomic_folder(arrays / split) as folder:
            np.save(folder / "images.npy", images / np.float32(255))
            np.save(folder / "labels.npy", np.eye(labels.max() + 1, dtype=np.float32)[labels])
    start = time.monotonic()
    said = printed(clone, sys.executable, str(ROOT / "benchmarks/bare_fit.py"), str(arrays), str(EPOCHS))
    seconds = time.monotonic() - start
    history = json.loads(said[-1])
    best = int(np.argmax(history["validation_accuracy"]))
    return history["validation_accuracy"][best], 1 + best, history["ends"][best] - start, seconds


if __name__ == "__main__":
    main()
