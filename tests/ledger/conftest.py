"""A folder with the files that a record is made from."""

from pathlib import Path

import pytest

from reprocnn.artifacts.confidence import CONFIDENCE, COVERAGE, RELIABILITY
from reprocnn.artifacts.figures import DESCRIPTION, FIGURES, REPORT
from reprocnn.artifacts.files import write_bytes, write_json
from reprocnn.artifacts.history import HISTORY, Epoch, write_history
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD, ModelCard, write_model_card
from reprocnn.artifacts.predictions import PREDICTIONS
from reprocnn.artifacts.robustness import ROBUSTNESS
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, PER_CLASS
from reprocnn.artifacts.split import TRAIN
from reprocnn.artifacts.training import TRAINING, TrainingSummary, write_training


@pytest.fixture
def trained(here: Path, empty_store: None) -> Path:
    """Provide a working directory with the outputs of train, evaluate and plot, and an MLflow store without runs."""
    write_bytes(MODEL, b"a model")
    write_model_card(MODEL_CARD, ModelCard("digits", "mlp", ("0", "1"), (8, 8, 1)))
    write_history(HISTORY, [Epoch(1, 0.5, 0.6, 0.7, 0.8, 0.001), Epoch(2, 0.25, 0.7, 0.6, 0.9, 0.001)])
    summary = TrainingSummary(
        validation_loss=0.6,
        validation_accuracy=0.9,
        best_epoch=2,
        best_validation_accuracy=0.9,
        parameters=10,
        onnx_difference=1e-6,
        mflops=0.5,
    )
    write_training(TRAINING, summary)
    write_json(METRICS, {"accuracy": 0.5})
    tables = (PER_CLASS, CONFUSION_MATRIX, CONFIDENCE, RELIABILITY, COVERAGE, PREDICTIONS, ROBUSTNESS)
    for path in (*tables, REPORT, DESCRIPTION, FIGURES / "curves.png", TRAIN / "x"):
        write_bytes(path, b"x")
    (here / "dvc.yaml").write_text("stages: {train: {deps: [data/processed/train]}}\n")
    return here
