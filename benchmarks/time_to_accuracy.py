"""Measures how long it takes to be as good as the text's net gets in 20 epochs.

Usage: python benchmarks/time_to_accuracy.py FOLDER [--epochs N]   (some 25 minutes; nothing else should run)

FOLDER has CIFAR-10 as images, as for `-S folder=`. The text's plain script trains for 20 epochs with the test set as
its validation data, as in the text; then the preset `fast` runs with N epochs from start to end, and evaluate opens the
test split once. It works in a temporary clone of the last commit and leaves the checkout as it was.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pipeline import ROOT, run

from reprocnn.files import atomic_folder, read_json, read_split
from training import printed, set_params

EPOCHS = 20
"""Of the text."""


def main() -> None:
    """Print what each reached, and when."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images of CIFAR-10, a folder per class")
    parser.add_argument("--epochs", type=int, default=2, help="of the preset fast (default: 2)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
        data = {"dataset": "folder", "folder": str(arguments.folder.resolve())}
        set_params(clone, **data)
        for stage in ("download", "preprocess"):
            run(clone, sys.executable, f"stages/{stage}.py")
        best, epoch, seconds = text(clone)
        print(f"the text's script: best test accuracy {best:.2%} after epoch {epoch}; {EPOCHS} epochs: {seconds:.0f} s")
        run(clone, sys.executable, "-m", "reprocnn", "preset", "fast")
        set_params(clone, **data, epochs=arguments.epochs)
        run(clone, sys.executable, "stages/preprocess.py")
        ours = run(clone, sys.executable, "stages/train.py")
        run(clone, sys.executable, "stages/evaluate.py")
        reached = read_json(clone / "reports/metrics.json")["accuracy"]
        print(f"fast, {arguments.epochs} epochs, train stage as a whole: test accuracy {reached:.2%}, {ours:.0f} s")
        print(f"{ours / seconds:.3f} of the text's script, 1/{seconds / ours:.1f}")


def text(clone: Path) -> tuple[float, int, float]:
    """Best test accuracy of the text's script, its epoch, and the seconds of the whole script."""
    images, labels = read_split(clone / "data/raw/test")
    arrays = clone / "data/text"
    for split, (pixels, one_hot) in {
        "train": read_split(clone / "data/processed/train"),
        "validation": (images / np.float32(255), np.eye(labels.max() + 1, dtype=np.float32)[labels]),
    }.items():
        with atomic_folder(arrays / split) as folder:
            np.save(folder / "images.npy", pixels)
            np.save(folder / "labels.npy", one_hot)
    start = time.monotonic()
    said = printed(clone, sys.executable, str(ROOT / "benchmarks/bare_fit.py"), str(arrays), str(EPOCHS))
    seconds = time.monotonic() - start
    accuracies = json.loads(said[-1])["validation_accuracy"]
    return max(accuracies), 1 + int(np.argmax(accuracies)), seconds


if __name__ == "__main__":
    main()
