"""Results of the pipeline with the files that an MLflow run needs, in a Git repository."""

from pathlib import Path
from typing import Any

from made_results import Repository
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.artifacts.model_card import MODEL_CARD, ModelCard, write_model_card
from reprocnn.artifacts.predictions import PREDICTIONS
from reprocnn.ledger import revisions
from tiny_model import tiny_info, write_tiny_model

SHADES = {"cat": 20, "dog": 230}


class Results(Repository):
    """Results whose model is an ONNX file that tells dark from bright pictures; TensorFlow is not needed."""

    def write(self, *arguments: Any, **values: Any) -> None:
        """Write a result to the workspace; for the arguments see `Repository.write`."""
        super().write(*arguments, dataset="digits", **values)
        (self.folder / "dvc.yaml").write_text("stages: {train: {deps: [data/processed/train]}}\n")
        (self.folder / ".gitignore").write_text("/.dvc\n/models\n/mlflow.db*\n/mlartifacts\n/reports/predictions.csv\n")

    def _lock(self, params: dict[str, Any], hashes: dict[Path, str]) -> None:
        write_model_card(MODEL_CARD, ModelCard("digits", params["model"], tuple(SHADES), (8, 8, 1)))
        colours = {name: (shade,) for name, shade in SHADES.items()}
        write_tiny_model(ONNX_MODEL, colours, tiny_info(colours, size=(8, 8)))
        (self.folder / PREDICTIONS).write_bytes(revisions.in_cache(hashes[PREDICTIONS]).read_bytes())
        super()._lock(params, hashes | {ONNX_MODEL: md5(ONNX_MODEL)})
