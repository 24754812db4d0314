"""The metrics of the test split."""

from pathlib import Path

METRICS = Path("reports/metrics.json")
PER_CLASS = Path("reports/per_class.csv")
CONFUSION_MATRIX = Path("reports/confusion_matrix.csv")
