"""What a saved model is: the card beside it."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card

MODEL_CARD = Path("models/model.json")


@dataclass(frozen=True)
class ModelCard(Card):
    """What a user of the saved model has to know."""

    dataset: str
    """The name of the data set that it was trained on."""
    model: str
    """Its architecture, as params.yaml names it."""
    class_names: tuple[str, ...]
    """The class of each of its outputs."""
    image_shape: tuple[int, int, int]
    """(height, width, channels) of the images that it takes, as raw pixels 0-255."""


def write_model_card(path: Path, card: ModelCard) -> None:
    """Write the card of a model."""
    write_card(path, card)


def read_model_card(path: Path) -> ModelCard:
    """Read the card of a model.

    Raises:
        UserError: the file is not what `write_model_card` writes.
    """
    return read_card(path, ModelCard, "train")
