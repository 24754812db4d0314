"""Write and read the summary of a training run: validation metrics, best epoch and model size."""

from dataclasses import dataclass
from pathlib import Path

from reprocnn.artifacts.cards import Card, read_card, write_card

TRAINING = Path("reports/training.json")


@dataclass(frozen=True, kw_only=True)
class TrainingSummary(Card):
    """Metrics by which `dvc exp show` compares experiments. Choose models by them; the test split is for the report."""

    validation_loss: float
    """Validation loss of the saved weights: mean cross-entropy in nats."""
    validation_accuracy: float
    """Validation accuracy of the saved weights, 0-1."""
    best_epoch: int
    """Epoch with the highest validation accuracy, counted from 1; the first one if several are equal."""
    best_validation_accuracy: float
    """Validation accuracy of the best epoch, 0-1."""
    parameters: int
    """Number of trainable parameters."""
    onnx_difference: float
    """Largest difference of a probability between `models/model.onnx` and the Keras model, on the validation images;
    rounded up to a power of ten."""
    mflops: float
    """Millions of floating-point operations of the forward pass for one image."""


def write_training(path: Path, summary: TrainingSummary) -> None:
    """Write the summary of a training run as JSON."""
    write_card(path, summary)


def read_training(path: Path) -> TrainingSummary:
    """Read the summary of a training run.

    Raises:
        UserError: the file does not have these metrics.
    """
    return read_card(path, TrainingSummary, "train")
