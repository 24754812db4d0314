"""Measure the cost of a checkpoint of deep_cnn on 32x32x3 images, relative to an epoch of 50,000 images.

Usage: python benchmarks/checkpoint.py FOLDER

FOLDER is any folder on the disk to measure. It prints the seconds of an `epoch` and of a `save` as JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np

from reprocnn import backend
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.split import Split
from reprocnn.models.build import build
from reprocnn.params import FitParams, ModelParams
from reprocnn.run.checkpoints import Checkpoint
from reprocnn.training.fit import fit
from reprocnn.training.hooks import NoJournal

IMAGES, EPOCH_IMAGES = 2_000, 50_000
"""Images per measured epoch, and per epoch of the result, which is computed from it."""


class TimedCheckpoint(Checkpoint):
    """A checkpoint that measures the seconds of each save."""

    saves: ClassVar[list[float]] = []

    def save(self, *state: Any) -> None:
        """Save, and note how long it takes."""
        start = time.monotonic()
        super().save(*state)
        self.saves.append(time.monotonic() - start)


class EpochTimes(NoJournal):
    """A journal that keeps the seconds of each epoch, epoch -> seconds."""

    seconds: ClassVar[dict[int, float]] = {}

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Note the seconds of an epoch."""
        self.seconds[epoch.epoch] = seconds


backend.prepare(0)
random = np.random.default_rng(0)
images = random.random((IMAGES, 32, 32, 3), dtype=np.float32)
labels = np.eye(10, dtype=np.float32)[random.integers(0, 10, IMAGES)]
model = build(ModelParams(), (32, 32, 3), 10, 0)
with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
    fit(
        model,
        Split(images, labels),
        Split(images[:2], labels[:2]),
        FitParams(epochs=3),  # the first epoch includes TensorFlow's tracing
        checkpoint=TimedCheckpoint(Path(folder)),
        journal=EpochTimes(),
    )
print(
    json.dumps(
        {"epoch": min(EpochTimes.seconds.values()) * EPOCH_IMAGES / IMAGES, "save": median(TimedCheckpoint.saves)}
    )
)
