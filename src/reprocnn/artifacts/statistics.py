"""What preprocess found out about the images."""

from pathlib import Path

STATISTICS = Path("data/processed/statistics.json")
