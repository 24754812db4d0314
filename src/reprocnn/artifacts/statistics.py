"""Write and read the statistics of the preprocessed images, which training needs."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card
from reprocnn.params import NormalizationKind

STATISTICS = Path("data/processed/statistics.json")


@dataclass(frozen=True)
class Normalization(Card):
    """Normalisation of raw pixels, 0-255, per channel: (pixel / 255 - mean) / std."""

    kind: NormalizationKind
    """`unit` (mean 0, std 1) or `standardize`."""
    mean: tuple[float, ...]
    """Mean of pixel / 255 per channel."""
    std: tuple[float, ...]
    """Standard deviation of pixel / 255 per channel."""


@dataclass(frozen=True)
class Statistics(Card):
    """Name, classes, image shape and normalisation of the preprocessed data."""

    dataset: str
    """Name of the data set."""
    class_names: tuple[str, ...]
    """Class name of each label, in label order."""
    image_shape: tuple[int, int, int]
    """(height, width, channels) of every image."""
    normalization: Normalization
    """Normalisation of the training and validation split, and of the first layer of the saved model."""
    white: float | None = None
    """Value of white of images with more than 8 bits per channel, if the user set it."""


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write the statistics as JSON."""
    write_card(path, statistics)


def read_statistics(path: Path) -> Statistics:
    """Read the statistics.

    Raises:
        UserError: the file does not have these statistics.
    """
    return read_card(path, Statistics, "preprocess")
