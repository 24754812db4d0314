"""The description of a data set."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card

DATASET = Path("data/raw/dataset.json")


@dataclass(frozen=True)
class DatasetCard(Card):
    """What download made."""

    dataset: str
    """Its name: that of the source, or of the user's folder or archive."""
    class_names: tuple[str, ...]
    """The class of each label, in label order."""
    image_shape: tuple[int, int, int]
    """(height, width, channels) of every image."""
    n_train: int
    """Images of the training split, before the validation split is taken from it."""
    n_test: int
    """Images of the test split."""


def write_dataset(path: Path, card: DatasetCard) -> None:
    """Write the description of a data set."""
    write_card(path, card)


def read_dataset(path: Path) -> DatasetCard:
    """Read the description of a data set.

    Raises:
        UserError: the file is not what `write_dataset` writes.
    """
    return read_card(path, DatasetCard, "download")
