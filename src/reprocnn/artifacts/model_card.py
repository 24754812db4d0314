"""Write and read the model card, which lies beside the saved model."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card

MODEL_CARD = Path("models/model.json")


@dataclass(frozen=True)
class ModelCard(Card):
    """What a user of the saved model needs: its origin, its input and the meaning of its outputs."""

    dataset: str
    """Name of the data set that it was trained on."""
    model: str
    """Name of the architecture, as in params.yaml."""
    class_names: tuple[str, ...]
    """Class name of each output, in output order."""
    image_shape: tuple[int, int, int]
    """(height, width, channels) of its input images, which are raw pixels 0-255."""
    white: float | None = None
    """Value of white of images with more than 8 bits per channel, if the user set it."""
    temperature: float = 1.0
    """Divides the logits so that the confidence of validation images agrees with their accuracy."""
    threshold_99: float | None = None
    """Lowest calibrated confidence above which 99 % of the validation images are classified correctly; None if there is
    none."""
    conformal_quantile_90: float = 1.0
    """The set of the classes whose calibrated probability is at least 1 - this contains the actual class of 90 % of
    images."""


def write_model_card(path: Path, card: ModelCard) -> None:
    """Write a model card as JSON."""
    write_card(path, card)


def read_model_card(path: Path) -> ModelCard:
    """Read a model card.

    Raises:
        UserError: the file is not a model card.
    """
    return read_card(path, ModelCard, "train")
