"""The metrics of a training."""

from pathlib import Path

TRAINING = Path("reports/training.json")
