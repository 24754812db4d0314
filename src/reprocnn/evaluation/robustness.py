"""Measure the accuracy on corrupted images."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.robustness import COLUMNS
from reprocnn.artifacts.split import rows_per_chunk
from reprocnn.backend import keras
from reprocnn.evaluation.corruptions import CORRUPTIONS, STRENGTHS
from reprocnn.evaluation.metrics import accuracy, wilson_interval
from reprocnn.evaluation.predictions import predict


def measure(model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int64], most: int = 1000) -> pd.DataFrame:
    """Measure the accuracy under each corruption and strength, on a stratified sample of the images.

    Args:
        model: takes images of raw pixels, 0-255, and returns class probabilities.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        labels: int64 (N,), 0 to classes - 1.
        most: the maximum number of images.

    Returns:
        The columns corruption, strength, accuracy, low and high (its 95 % Wilson interval; each 0-1) and n, the number
        of images. The first row, corruption `none` of strength 0, is about the unchanged images.
    """
    chosen, rows = sample(labels, most), rows_per_chunk(images.shape[1:], most=512)
    found: dict[tuple[str, int], list[NDArray[np.float64]]] = {
        (name, strength): [] for name in CORRUPTIONS for strength in STRENGTHS
    }
    unchanged = []
    for start in range(0, len(chosen), rows):
        chunk = images[chosen[start : start + rows]]
        unchanged.append(predict(model, chunk))
        for (name, strength), parts in found.items():
            parts.append(predict(model, CORRUPTIONS[name](chunk, strength)))
    table = [
        (name, strength, *_accuracy(np.concatenate(parts), labels[chosen]))
        for (name, strength), parts in {("none", 0): unchanged, **found}.items()
    ]
    return pd.DataFrame(table, columns=list(COLUMNS))


def not_measured() -> pd.DataFrame:
    """Return a table with the columns of `measure` and no rows."""
    return pd.DataFrame(columns=list(COLUMNS))


def mean_accuracy(table: pd.DataFrame) -> float | None:
    """Return the mean accuracy over all corruptions and strengths, 0-1; None if robustness was not measured."""
    corrupted = table[table["strength"] > 0]
    return None if corrupted.empty else float(corrupted["accuracy"].mean())


def sample(labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Choose images at random, always the same ones, with the same fraction of each class.

    scikit-learn's splitters need two images per class and a sample with all classes; this does not.

    Args:
        labels: int64 (N,), 0 to classes - 1.
        most: the maximum number of images.

    Returns:
        Indices in ascending order, int64 (at most `most`,).
    """
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = pd.Series(labels[order])
    groups = shuffled.groupby(shuffled)
    place = (groups.cumcount() + 0.5) / groups.transform("size")  # in its class, 0-1
    return np.sort(order[np.argsort(place.to_numpy(), kind="stable")[:most]])


def _accuracy(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float, float, int]:
    """Return the accuracy, its 95 % interval and the number of images."""
    right = int((probabilities.argmax(axis=1) == labels).sum())
    return accuracy(probabilities, labels), *wilson_interval(right, len(labels)), len(labels)
