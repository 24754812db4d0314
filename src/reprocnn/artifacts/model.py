"""Save and load the model."""

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.files import atomic_file

if TYPE_CHECKING:  # the import takes seconds
    import keras

MODEL = Path("models/model.keras")
ONNX_MODEL = Path("models/model.onnx")

# The earliest time that ZIP can store; written instead of the current time.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_model(path: Path, model: "keras.Model") -> None:
    """Write a model as `.keras`, without the time stamps, version and memory addresses that Keras adds."""
    with atomic_file(path) as partial:
        saved = partial.with_suffix(".keras")  # Keras insists on the suffix
        try:
            model.save(saved)
            partial.write_bytes(_stable_keras(saved))
        finally:
            saved.unlink(missing_ok=True)


def load_model(path: Path) -> "keras.Model":
    """Load a model for prediction.

    It maps images of raw pixels, uint8 or float32 (batch, height, width, channels), 0-255, to class probabilities,
    float32 (batch, classes), 0-1.
    """
    from reprocnn.backend import keras

    return keras.models.load_model(path, compile=False)


def _stable_keras(path: Path) -> bytes:
    """Return the bytes of a `.keras` archive, with the parts that vary between two saves set to constants."""
    stable = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stable, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == "metadata.json":
                constant = {"keras_version": "3", "date_saved": "1980-01-01@00:00:00"}
                content = json.dumps(json.loads(content) | constant, sort_keys=True).encode()
            if name == "config.json":
                content = _renumber_shared_objects(content)
            new.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), content)
    return stable.getvalue()


def _renumber_shared_objects(config: bytes) -> bytes:
    """Replace each `shared_object_id`, a memory address, with a number that counts up in order of appearance."""
    numbers: dict[bytes, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return match[1] + str(numbers.setdefault(match[2], len(numbers))).encode()

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)
