"""Normalise images: scale pixels from 0-255 to a range that suits training."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.statistics import Normalization
from reprocnn.params import NormalizationKind


def normalize(images: NDArray[np.uint8], normalization: Normalization) -> NDArray[np.float32]:
    """Return (pixel / 255 - mean) / std, per channel.

    Args:
        images: uint8 (n, height, width, channels), 0-255.
        normalization: the kind, and the mean and std per channel.

    Returns:
        float32 (n, height, width, channels). Range for `unit`: 0-1; for `standardize`, the training images have mean 0
        and std 1 per channel.
    """
    scale = np.asarray(normalization.std, np.float32) * np.float32(255)
    pixels = images.astype(np.float32)
    if normalization.kind == "standardize":
        pixels -= np.asarray(normalization.mean, np.float32) * np.float32(255)
    pixels /= scale
    return pixels


def raw_batches(
    images: NDArray[np.float32], normalization: Normalization, size: int = 256
) -> Iterator[NDArray[np.float32]]:
    """Yield the raw pixels of normalised images in batches, rounded to whole numbers: the inverse of `normalize`.

    Args:
        images: float32 (N, height, width, channels), as `normalize` returned them; may be memory-mapped.
        normalization: the normalisation of these images.
        size: images per batch.

    Yields:
        float32 (n, height, width, channels), 0-255.
    """
    mean, std = (np.asarray(values, np.float32) for values in (normalization.mean, normalization.std))
    for start in range(0, len(images), size):
        yield np.rint((images[start : start + size] * std + mean) * np.float32(255)).clip(0, 255)


def fit(kind: NormalizationKind, chunks: Iterable[NDArray[np.uint8]], channels: int) -> Normalization:
    """Fit a normalisation to training images: their mean and std per channel, or 0 and 1 for `unit`.

    Args:
        kind: `unit` or `standardize`.
        chunks: uint8 (n, height, width, channels), 0-255; only training images.
        channels: the number of channels.
    """
    if kind == "unit":
        return Normalization(kind, (0.0,) * channels, (1.0,) * channels)
    # One histogram per channel: sums of integers are exact and don't depend on the order and size of the chunks.
    counts = np.zeros((channels, 256), np.int64)
    for chunk in chunks:
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256)
    n, total, squares = counts.sum(axis=1), (counts * values).sum(axis=1), (counts * values**2).sum(axis=1)
    mean = total / n / 255
    std = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0)) / 255
    std[std < 1e-6] = 1.0  # a constant channel becomes 0, without a division by zero
    return Normalization(kind, tuple(mean.tolist()), tuple(std.tolist()))
