"""Measure how fast the command `predict` answers.

Usage: python benchmarks/prediction.py [IMAGES] [--rounds N]

IMAGES is a folder with at least 10,000 images of 32x32 pixels; without it, 10,000 JPEGs of random pixels are made. The
model is deep_cnn for 32x32x3 with its initial weights. Each round measures in turn: one picture from the shell, with
the start of Python; decoding all images on all cores; the model alone on arrays, on all cores; and the command on
the folder, with its start and without it. The expected speed is that of decoding first and predicting then:
1 / (1 / decoding + 1 / model).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from pipeline import describe_machine

from reprocnn import backend
from reprocnn.artifacts.statistics import Normalization
from reprocnn.export.difference import predictions
from reprocnn.export.onnx_file import export_onnx
from reprocnn.inference.classifier import Classifier
from reprocnn.inference.decoding import read_image
from reprocnn.inference.info import ModelInfo
from reprocnn.models.build import build
from reprocnn.params import ModelParams

IMAGES, SIZE = 10_000, 32


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="?", type=Path, metavar="IMAGES", help="folder with 10,000 images of 32x32")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="number of measurements (default: 5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name) / "images", Path(name) / "model.onnx"
        write_model(model)
        write_images(folder, given.images)
        measured = [measure(folder, model) for _ in range(given.rounds)]
    print(describe_machine(given.rounds))
    print_table(measured)


def write_model(path: Path) -> None:
    """Write deep_cnn with its initial weights as ONNX."""
    backend.prepare(0)
    shape, names = (SIZE, SIZE, 3), tuple(map(str, range(10)))
    model = build(ModelParams(), shape, len(names), 0, Normalization("unit", (0.0,) * 3, (1.0,) * 3))
    info = ModelInfo("random", "deep_cnn", names, shape, None, "")
    images = [np.zeros((1, *shape), np.float32)]
    export_onnx(path, model, info, images, predictions(model, images))


def write_images(folder: Path, source: Path | None) -> None:
    """Fill a folder with 10,000 images: copies of the user's, or JPEGs of random pixels."""
    folder.mkdir()
    if source:
        files = [file for file in sorted(source.rglob("*")) if file.is_file()][:IMAGES]
        for number, file in enumerate(files):
            shutil.copy(file, folder / f"{number:05}{file.suffix}")
        return
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=75)


def measure(folder: Path, model: Path) -> dict[str, float]:
    """Measure each part once; seconds of one picture, and images per second of the others."""
    files = sorted(folder.iterdir())
    one = time_of(partial(run_command, files[0], model))
    with ProcessPoolExecutor(os.cpu_count()) as pool:  # threads would wait for each other in Pillow's Python code
        list(pool.map(decode, files[:100]))  # starts the processes
        decoding = time_of(lambda: list(pool.map(decode, files, chunksize=100)))
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=np.uint8)
    classifier = Classifier(model)
    classifier.probabilities(images[:100])
    alone = time_of(lambda: classifier.probabilities(images))
    command = time_of(partial(run_command, folder, model))
    return {
        "one picture, s": one,
        "decoding alone": len(files) / decoding,
        "model alone": len(images) / alone,
        "decoding, then model": len(files) / (decoding + alone * len(files) / len(images)),
        "`predict FOLDER`, start included": len(files) / command,
        "`predict FOLDER` without its start": len(files) / (command - one),
    }


def decode(file: Path) -> None:
    """Decode an image file."""
    read_image(file.name, file.read_bytes, SIZE, "rgb", None)


def run_command(pictures: Path, model: Path) -> None:
    """Run `python -m reprocnn predict`."""
    command = [sys.executable, "-m", "reprocnn", "predict", str(pictures), "--model", str(model), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def time_of(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def print_table(measured: list[dict[str, float]]) -> None:
    """Print a row per measurement: median, minimum and maximum, and the share of the expected speed."""
    print("\n| | images/s (first row: s) | min to max | of decoding, then model |\n|---|---|---|---|")
    for name in measured[0]:
        values = [round_[name] for round_ in measured]
        share = median(round_[name] / round_["decoding, then model"] for round_ in measured)
        digits = 2 if name.endswith(" s") else 0
        shown = f"{share:.2f}" if name.startswith("`") else ""
        low, middle, high = (f"{of(values):,.{digits}f}" for of in (min, median, max))
        print(f"| {name} | {middle} | {low} to {high} | {shown} |")


if __name__ == "__main__":
    main()
