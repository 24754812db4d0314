"""The paths that dvc.yaml names, relative to the root of the project, where DVC runs each stage; and its outside."""

import os
from pathlib import Path

PARAMS = Path("params.yaml")

# download
RAW_TRAIN = Path("data/raw/train")
RAW_TEST = Path("data/raw/test")
DATASET = Path("data/raw/dataset.json")

# preprocess
TRAIN = Path("data/processed/train")
VALIDATION = Path("data/processed/validation")
STATISTICS = Path("data/processed/statistics.json")

# train
MODEL = Path("models/model.keras")
MODEL_CARD = Path("models/model.json")
HISTORY = Path("reports/history.csv")
TRAINING = Path("reports/training.json")

# evaluate
METRICS = Path("reports/metrics.json")
PER_CLASS = Path("reports/per_class.csv")
CONFUSION_MATRIX = Path("reports/confusion_matrix.csv")
PREDICTIONS = Path("reports/predictions.csv")
MISTAKES = Path("data/mistakes")

# plot
FIGURES = Path("reports/figures")
REPORT = Path("reports/report.html")

# Beside the outs of train, written with them, in Git: what a result may depend on and no out may hold
ENVIRONMENT = Path("reports/environment.json")


def repository() -> Path:
    """The user's checkout, also from a `--temp` or `--queue` experiment, which works in a copy of it."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def kept(name: str) -> Path:
    """A place outside of DVC's outs, for what has to outlive a stage and the copy that an experiment works in."""
    return repository() / ".dvc" / "tmp" / "reprocnn" / name
