"""Fit a model: adam on the categorical cross-entropy, as in the text."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.backend import gpus, keras
from reprocnn.errors import UserError
from reprocnn.files import read_split, rows_per_chunk
from reprocnn.training.batches import Batches
from reprocnn.training.checkpoints import Checkpoint, Row

Split = tuple[NDArray[np.float32], NDArray[np.float32]]
OnEpoch = Callable[[Row], None]
_TIMES = ("seconds", "ended")
"""What a row has beside the history; no out may hold it."""


def load_splits(train: Path, validation: Path, batch_size: int) -> tuple[Split, Split]:
    """Read both splits, the images memory-mapped.

    Raises:
        UserError: there are fewer training images than a batch has.
    """
    splits = read_split(train), read_split(validation)
    if batch_size > (n := len(splits[0][0])):
        raise UserError(
            f"batch_size={batch_size} is larger than the {n} training images",
            f"-S batch_size={n} or less",
        )
    return splits


def fit(
    model: keras.Model,
    train: Split,
    validation: Split,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    checkpoint: Checkpoint,
    on_epoch: OnEpoch,
) -> pd.DataFrame:
    """Compile and train a model in place, from where the checkpoint stands.

    Args:
        model: ends in a softmax over the classes.
        train: images float32 (N, height, width, channels), labels float32 (N, classes).
        validation: the same.
        epochs: passes over `train`.
        batch_size: images a step.
        learning_rate: of adam.
        seed: draws the order of the images.
        checkpoint: is kept after each epoch.
        on_epoch: is given each epoch's row of the history, with `seconds` and `ended` (Unix time), as it ends; the rows
            of earlier epochs at once, where the training goes on.

    Returns:
        A row per epoch: epoch, train_loss, train_accuracy, validation_loss, validation_accuracy, learning_rate.

    Raises:
        UserError: the training diverged.
    """
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, name="adam"),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile="auto" if gpus() else False,  # on a CPU, XLA makes these nets 2 to 8 times slower
    )
    model.optimizer.build(model.trainable_variables)
    rows = checkpoint.restore(model)
    if rows:
        print(f"going on after epoch {len(rows)} of {epochs} of a training that was cut off", flush=True)
    for row in rows:
        on_epoch(row)
    model.fit(
        Batches(*train, batch_size, seed, epoch=len(rows)),
        validation_data=Batches(*validation, rows_per_chunk(validation[0].shape[1:], most=256), None),
        initial_epoch=len(rows),
        epochs=epochs,
        shuffle=False,  # Batches does it
        verbose=1 if sys.stdout.isatty() else 2,  # a bar in a terminal, a line per epoch in a log file
        callbacks=[_EndOfEpoch(rows, checkpoint, on_epoch)],
    )
    return pd.DataFrame(rows).drop(columns=list(_TIMES))


class _EndOfEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds each epoch to the rows of the history, keeps the checkpoint, then tells of it."""

    def __init__(self, rows: list[Row], checkpoint: Checkpoint, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._rows, self._checkpoint, self._on_epoch = rows, checkpoint, on_epoch

    def on_epoch_begin(self, *_: Any) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        row = {
            "epoch": epoch + 1,
            "train_loss": logs["loss"],
            "train_accuracy": logs["accuracy"],
            "validation_loss": logs["val_loss"],
            "validation_accuracy": logs["val_accuracy"],
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": time.monotonic() - self._start,
            "ended": time.time(),
        }
        if not all(map(math.isfinite, row.values())):
            raise UserError(f"the loss is no finite number after epoch {epoch + 1}", "use a lower learning_rate")
        self._rows.append(row)
        self._checkpoint.save(self.model, self._rows)
        self._on_epoch(row)


def summary(history: pd.DataFrame, model: keras.Model) -> dict[str, Any]:
    """What `dvc exp show` compares experiments by: the validation split chooses, the test split reports."""
    best = history.loc[history["validation_accuracy"].idxmax()]
    last = history.iloc[-1]
    return {
        "validation_loss": float(last["validation_loss"]),
        "validation_accuracy": float(last["validation_accuracy"]),
        "best_epoch": int(best["epoch"]),
        "best_validation_accuracy": float(best["validation_accuracy"]),
        "parameters": model.count_params(),
    }
