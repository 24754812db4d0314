"""The predictions of the test split, and its most confident mistakes."""

from pathlib import Path

PREDICTIONS = Path("reports/predictions.csv")
MISTAKES = Path("data/mistakes")
