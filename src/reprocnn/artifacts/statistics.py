"""What training needs to know of the preprocessed images."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card
from reprocnn.params import NormalizationKind

STATISTICS = Path("data/processed/statistics.json")


@dataclass(frozen=True)
class Normalization(Card):
    """(pixel / 255 - mean) / std, per channel, of pixels 0-255."""

    kind: NormalizationKind
    """`unit` (mean 0, std 1) or `standardize`."""
    mean: tuple[float, ...]
    """Of pixel / 255, a number per channel."""
    std: tuple[float, ...]
    """Of pixel / 255, a number per channel."""


@dataclass(frozen=True)
class Statistics(Card):
    """What preprocess found out about the images."""

    dataset: str
    """The name of the data set."""
    class_names: tuple[str, ...]
    """The class of each label, in label order."""
    image_shape: tuple[int, int, int]
    """(height, width, channels) of every image."""
    normalization: Normalization
    """With the mean and std of the training images."""


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write the statistics."""
    write_card(path, statistics)


def read_statistics(path: Path) -> Statistics:
    """Read the statistics.

    Raises:
        UserError: the file is not what `write_statistics` writes.
    """
    return read_card(path, Statistics, "preprocess")
