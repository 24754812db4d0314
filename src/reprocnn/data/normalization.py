"""Normalise images: scale pixels of 0-255 to a range that suits training."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.statistics import Normalization
from reprocnn.params import NormalizationKind


def normalized(images: NDArray[np.uint8], by: Normalization) -> NDArray[np.float32]:
    """Normalise images.

    Args:
        images: uint8 (n, height, width, channels), 0-255.
        by: the kind of normalisation with its statistics.

    Returns:
        float32 of the same shape.
    """
    scale = np.asarray(by.std, np.float32) * np.float32(255)
    pixels = images.astype(np.float32)
    if by.kind == "standardize":
        pixels -= np.asarray(by.mean, np.float32) * np.float32(255)
    pixels /= scale
    return pixels


def fitted(kind: NormalizationKind, chunks: Iterable[NDArray[np.uint8]], channels: int) -> Normalization:
    """Fit a normalisation to the training images. Only `standardize` uses their statistics.

    Args:
        kind: `unit` or `standardize`.
        chunks: training images only, uint8 (n, height, width, channels), 0-255.
        channels: the number of channels.
    """
    if kind == "unit":
        return Normalization(kind, (0.0,) * channels, (1.0,) * channels)
    # One histogram per channel: integer sums are exact, so order and size of the chunks don't matter.
    counts = np.zeros((channels, 256), np.int64)
    for chunk in chunks:
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256)
    n, total, squares = counts.sum(axis=1), (counts * values).sum(axis=1), (counts * values**2).sum(axis=1)
    mean = total / n / 255
    std = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0)) / 255
    std[std < 1e-6] = 1.0  # a constant channel becomes 0, not infinite
    return Normalization(kind, tuple(mean.tolist()), tuple(std.tolist()))
