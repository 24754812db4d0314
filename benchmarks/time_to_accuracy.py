"""Measure how long the preset `fast` takes to reach the accuracy of the text's net after 20 epochs.

Usage: python benchmarks/time_to_accuracy.py FOLDER [--epochs N] [--seeds N]

FOLDER has the images of CIFAR-10, as for `-S folder=`. First the text's script trains once: 20 epochs on all 50,000
images, with the test images as validation data, as in the text. Then, once per seed, the train stage trains with the
preset `fast`, shortened to a few epochs, and evaluate measures it on the test split. Times are those of a process from
its start to its end. All of it takes about 35 minutes on two cores; nothing else should run meanwhile. It works in a
temporary clone of the last commit and does not change the checkout.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pipeline import ROOT, run, run_and_read, set_params

from reprocnn.artifacts.files import atomic_folder, read_json
from reprocnn.artifacts.split import read_split

EPOCHS = 20
"""Epochs of the text's script."""


def main() -> None:
    """Print the test accuracy and the time of the text's script, then of each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images of CIFAR-10, a folder per class")
    parser.add_argument("--epochs", type=int, default=2, metavar="N", help="epochs of the preset `fast` (default: 2)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="number of seeds (default: 3)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
        data = {"dataset": "folder", "folder": str(arguments.folder.resolve())}
        set_params(clone, **data)
        for stage in ("download", "preprocess"):
            run(clone, sys.executable, f"stages/{stage}.py")
        best, epoch, until_best, total = measure_text_script(clone)
        print(f"the text's script: best test accuracy {best:.2%} after epoch {epoch} and {until_best:.0f} s", end="; ")
        print(f"{EPOCHS} epochs: {total:.0f} s", flush=True)
        run(clone, sys.executable, "-m", "reprocnn", "preset", "fast")
        for seed in range(arguments.seeds):
            set_params(clone, **data, epochs=arguments.epochs, seed=seed)
            run(clone, sys.executable, "stages/preprocess.py")
            seconds = run(clone, sys.executable, "stages/train.py")
            run(clone, sys.executable, "stages/evaluate.py")
            reached = read_json(clone / "reports/metrics.json")["accuracy"]
            print(
                f"fast, {arguments.epochs} epochs, seed {seed}: test accuracy {reached:.2%}, {seconds:.0f} s: ", end=""
            )
            as_good = (
                f"1/{total / seconds:.1f} of the script's time, 1/{until_best / seconds:.1f} of that to its best epoch"
            )
            print(as_good if reached >= best else "not as good", flush=True)


def measure_text_script(clone: Path) -> tuple[float, int, float, float]:
    """Run the text's script.

    Returns:
        Its best test accuracy, the epoch that reached it, the seconds until the end of that epoch, and those of the
        script.
    """
    arrays = clone / "data/text"
    for split, source in {"train": "train", "validation": "test"}.items():
        images, labels = read_split(clone / "data/raw" / source)
        with atomic_folder(arrays / split) as folder:
            np.save(folder / "images.npy", images / np.float32(255))
            np.save(folder / "labels.npy", np.eye(labels.max() + 1, dtype=np.float32)[labels])
    start = time.monotonic()
    lines = run_and_read(clone, sys.executable, str(ROOT / "benchmarks/bare_fit.py"), str(arrays), str(EPOCHS))
    seconds = time.monotonic() - start
    history = json.loads(lines[-1])
    best = int(np.argmax(history["validation_accuracy"]))
    return history["validation_accuracy"][best], 1 + best, history["ends"][best] - start, seconds


if __name__ == "__main__":
    main()
