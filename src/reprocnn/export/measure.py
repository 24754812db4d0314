"""Measure an exported model: its size, latency, differences from the Keras model, and accuracy."""

import math
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.export.formats import Predict

BATCH = 64
"""Images in the larger batch of `latency`."""


class Latency(NamedTuple):
    """Median time per image, in milliseconds."""

    single: float
    """Of one image alone."""
    batch: float
    """Of an image in a batch of 64."""


def size(path: Path) -> int:
    """Return the size of a file, or of all files in a folder, in bytes."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def predict_all(predict: Predict, batches: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the probabilities of all images, float32 (N, classes)."""
    return np.concatenate([predict(images) for images in batches])


def largest_difference(probabilities: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference of a probability; infinity if one is NaN."""
    return float(np.nan_to_num(np.abs(probabilities - expected), nan=math.inf).max())


def latency(predict: Predict, images: NDArray[np.float32], runs: int = 50) -> Latency:
    """Measure how long a model needs per image.

    Args:
        predict: the model.
        images: at least one image, float32 (n, height, width, channels), 0-255; repeated if n < 64.
        runs: runs of the single image; the batch runs half as often.
    """
    batch = images[np.arange(BATCH) % len(images)]
    return Latency(_median_ms(predict, batch[:1], runs), _median_ms(predict, batch, runs // 2) / BATCH)


def _median_ms(predict: Predict, images: NDArray[np.float32], runs: int) -> float:
    for _ in range(3):  # the first runs of a shape allocate memory, and Keras compiles
        predict(images)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        predict(images)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)
