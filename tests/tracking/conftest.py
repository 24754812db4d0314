"""A folder with what a record is made from."""

from pathlib import Path

import pytest

from reprocnn import paths
from reprocnn.files import write_bytes, write_json


@pytest.fixture
def trained(here: Path) -> Path:
    """A folder in which train, evaluate and plot ran."""
    write_bytes(paths.MODEL, b"a model")
    write_json(paths.MODEL_CARD, {"dataset": "digits"})
    write_bytes(paths.HISTORY, b"epoch,train_loss\n1,0.5\n2,0.25\n")
    write_json(paths.TRAINING, {"train_loss": 0.25, "best_epoch": 2})
    write_json(paths.METRICS, {"accuracy": 0.5})
    tables = (paths.PER_CLASS, paths.CONFUSION_MATRIX, paths.PREDICTIONS)
    for path in (*tables, paths.REPORT, paths.FIGURES / "curves.png", paths.TRAIN / "x"):
        write_bytes(path, b"x")
    (here / "dvc.yaml").write_text("stages: {train: {deps: [data/processed/train]}}\n")
    return here
