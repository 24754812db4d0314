"""The metrics of a training."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card

TRAINING = Path("reports/training.json")


@dataclass(frozen=True, kw_only=True)
class TrainingSummary(Card):
    """What `dvc exp show` compares experiments by: the validation split chooses, the test split reports."""

    validation_loss: float
    """Of the epoch whose weights were kept, in nats."""
    validation_accuracy: float
    """Of the epoch whose weights were kept, 0-1."""
    best_epoch: int
    """The first epoch of the highest validation accuracy, from 1."""
    best_validation_accuracy: float
    """Of that epoch, 0-1."""
    parameters: int
    """Weights that are trained."""
    mflops: float
    """Millions of floating-point operations for one image, forwards."""


def write_training(path: Path, summary: TrainingSummary) -> None:
    """Write the metrics of a training."""
    write_card(path, summary)


def read_training(path: Path) -> TrainingSummary:
    """Read the metrics of a training.

    Raises:
        UserError: the file is not what `write_training` writes.
    """
    return read_card(path, TrainingSummary, "train")
