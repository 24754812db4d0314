"""The description of a data set."""

from pathlib import Path

DATASET = Path("data/raw/dataset.json")
