"""What a saved model is."""

from pathlib import Path

MODEL_CARD = Path("models/model.json")
