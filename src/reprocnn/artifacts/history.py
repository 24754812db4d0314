"""The history of a training, a row per epoch."""

from pathlib import Path

HISTORY = Path("reports/history.csv")
