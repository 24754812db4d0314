"""Normalisation: pixels of 0-255 to numbers around 0 or 1 that a network trains well on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Normalization:
    """(pixel / 255 - mean) / std, per channel.

    Args:
        kind: `unit` (mean 0, std 1) or `standardize`.
        mean: of pixel / 255, a number a channel.
        std: of pixel / 255, a number a channel.
    """

    kind: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Normalise images uint8 (n, height, width, channels), 0-255, to float32 of the same shape."""
        scale = np.asarray(self.std, np.float32) * np.float32(255)
        pixels = images.astype(np.float32)
        if self.kind == "standardize":
            pixels -= np.asarray(self.mean, np.float32) * np.float32(255)
        pixels /= scale
        return pixels

    def to_json(self) -> dict[str, Any]:
        """As it stands in statistics.json and beside the model."""
        return {"kind": self.kind, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Normalization":
        """The inverse of `to_json`."""
        return cls(value["kind"], tuple(value["mean"]), tuple(value["std"]))


def fitted(kind: str, chunks: Iterable[NDArray[np.uint8]], channels: int) -> Normalization:
    """The normalisation of a kind, with the statistics of training images where it needs them.

    Args:
        kind: `unit` or `standardize`.
        chunks: the training images alone, uint8 (n, height, width, channels).
        channels: their number.
    """
    if kind == "unit":
        return Normalization(kind, (0.0,) * channels, (1.0,) * channels)
    # A histogram a channel: sums of whole numbers are exact, whatever the order and the size of the chunks.
    counts = np.zeros((channels, 256), np.int64)
    for chunk in chunks:
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256)
    n, total, squares = counts.sum(axis=1), (counts * values).sum(axis=1), (counts * values**2).sum(axis=1)
    mean = total / n / 255
    std = np.sqrt(np.maximum(squares / n - (total / n) ** 2, 0)) / 255
    std[std < 1e-6] = 1.0  # a channel of one value stays 0 rather than becoming infinite
    return Normalization(kind, tuple(mean.tolist()), tuple(std.tolist()))
