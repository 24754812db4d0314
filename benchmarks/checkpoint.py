"""Measure the cost of a checkpoint of deep_cnn on 32x32x3 images, relative to an epoch of 50,000 images.

Usage: python benchmarks/checkpoint.py FOLDER   (FOLDER is on the disk to measure; prints seconds of each, as JSON)
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

N, EPOCH = 2_000, 50_000


class Timed(Checkpoint):
    """A checkpoint that keeps the seconds of each save."""

    saves: ClassVar[list[float]] = []

    def save(self, *state: Any) -> None:
        """Save, and note the time it takes."""
        start = time.monotonic()
        super().save(*state)
        self.saves.append(time.monotonic() - start)


class Times(NoJournal):
    """A journal that keeps the seconds of each epoch."""

    taken: ClassVar[dict[int, float]] = {}

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Note the time of an epoch."""
        self.taken[epoch.epoch] = seconds


backend.prepare(0)
random = np.random.default_rng(0)
images = random.random((N, 32, 32, 3), dtype=np.float32)
labels = np.eye(10, dtype=np.float32)[random.integers(0, 10, N)]
model = build(ModelParams(), (32, 32, 3), 10, 0)
with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
    fit(
        model,
        Split(images, labels),
        Split(images[:2], labels[:2]),
        FitParams(epochs=3),  # the first has TensorFlow's tracing in it
        checkpoint=Timed(Path(folder)),
        journal=Times(),
    )
print(json.dumps({"epoch": min(Times.taken.values()) * EPOCH / N, "save": median(Timed.saves)}))
