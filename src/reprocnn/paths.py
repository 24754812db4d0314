"""The paths that dvc.yaml names, relative to the root of the project, where DVC runs each stage."""

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
