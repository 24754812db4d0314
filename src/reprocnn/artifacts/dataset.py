"""Write and read the data set card: the name, classes and sizes of the downloaded data set."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card

DATASET = Path("data/raw/dataset.json")


@dataclass(frozen=True)
class DatasetCard(Card):
    """Name, classes and sizes of the data set that the download stage wrote."""

    dataset: str
    """Name of the data set; for the user's images, that of their folder or archive."""
    class_names: tuple[str, ...]
    """Class name of each label, in label order."""
    image_shape: tuple[int, int, int]
    """(height, width, channels) of every image."""
    n_train: int
    """Number of training images, including those of the later validation split."""
    n_test: int
    """Number of test images."""
    skipped: tuple[str, ...] = ()
    """Files that were left out because they can't be read, each as `name: cause`."""
    white: float | None = None
    """Value of white of images with more than 8 bits per channel, if the user set it."""


def write_dataset(path: Path, card: DatasetCard) -> None:
    """Write a data set card as JSON."""
    write_card(path, card)


def read_dataset(path: Path) -> DatasetCard:
    """Read a data set card.

    Raises:
        UserError: the file is not a data set card.
    """
    return read_card(path, DatasetCard, "download")
