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

Split = tuple[NDArray[np.float32], NDArray[np.float32]]
OnEpoch = Callable[[int, dict[str, float], float], None]


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
    on_epoch: OnEpoch,
) -> pd.DataFrame:
    """Compile and train a model in place.

    Args:
        model: ends in a softmax over the classes.
        train: images float32 (N, height, width, channels), labels float32 (N, classes).
        validation: the same.
        epochs: passes over `train`.
        batch_size: images a step.
        learning_rate: of adam.
        seed: draws the order of the images.
        on_epoch: is told of each epoch: its number from 1, its row of the history, the seconds it took.

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
    history = _History(on_epoch)
    model.fit(
        Batches(*train, batch_size, seed),
        validation_data=Batches(*validation, rows_per_chunk(validation[0].shape[1:], most=256), None),
        epochs=epochs,
        shuffle=False,  # Batches does it
        verbose=1 if sys.stdout.isatty() else 2,  # a bar in a terminal, a line per epoch in a log file
        callbacks=[history],
    )
    return pd.DataFrame(history.rows)


class _History(keras.callbacks.Callback):  # type: ignore[misc]
    """Collects a row per epoch and hands it on."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self._on_epoch = on_epoch

    def on_epoch_begin(self, *_: Any) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        seconds = time.monotonic() - self._start
        row = {
            "train_loss": logs["loss"],
            "train_accuracy": logs["accuracy"],
            "validation_loss": logs["val_loss"],
            "validation_accuracy": logs["val_accuracy"],
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        if not all(map(math.isfinite, row.values())):
            raise UserError(f"the loss is no finite number after epoch {epoch + 1}", "use a lower learning_rate")
        self.rows.append({"epoch": epoch + 1, **row})
        self._on_epoch(epoch + 1, row, seconds)


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
