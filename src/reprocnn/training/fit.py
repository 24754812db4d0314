"""Fit a model to the categorical cross-entropy, by a recipe."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.split import read_split, rows_per_chunk
from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models import costs
from reprocnn.params import FitParams
from reprocnn.run.checkpoints import Checkpoint, Row
from reprocnn.training import augmentation
from reprocnn.training.batches import Batches
from reprocnn.training.optimizers import optimizer
from reprocnn.training.training_model import kept_weights, training_model

Split = tuple[NDArray[np.float32], NDArray[np.float32]]
OnEpoch = Callable[[Row], None]
_LONG_STEP = 5_000
"""MFLOPs forwards of a step that takes a core some hundred milliseconds."""
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
    recipe: FitParams,
    *,
    checkpoint: Checkpoint,
    on_epoch: OnEpoch,
) -> pd.DataFrame:
    """Train a model in place, from where the checkpoint stands.

    Args:
        model: ends in a softmax over the classes.
        train: images float32 (N, height, width, channels), labels float32 (N, classes).
        validation: the same.
        recipe: how.
        checkpoint: is kept after each epoch.
        on_epoch: is given each epoch's row of the history, with `seconds` and `ended` (Unix time), as it ends; the rows
            of earlier epochs at once, where the training goes on.

    Returns:
        A row per epoch: epoch, train_loss, train_accuracy, validation_loss, validation_accuracy, learning_rate. With
        label smoothing and class weights train_loss is the loss with them, validation_loss the plain one.

    Raises:
        UserError: the training diverged.
    """
    trained = training_model(model, recipe.augment, recipe.precision, recipe.ema, recipe.seed)
    steps = recipe.epochs * -(-len(train[0]) // recipe.batch_size)
    trained.compile(
        optimizer=optimizer(recipe, steps, trained.trainable_variables),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,  # on a CPU, XLA makes these nets 2 to 8 times slower
        steps_per_execution=_steps_at_once(model, recipe.batch_size),
    )
    rows, best = checkpoint.restore(trained)
    if rows:
        print(f"going on after epoch {len(rows)} of {recipe.epochs} of a training that was cut off", flush=True)
    for row in rows:
        on_epoch(row)
    ending = _EndOfEpoch(rows, best, recipe.patience, checkpoint, on_epoch)
    trained.fit(
        _training_batches(*train, recipe, epoch=len(rows)),
        validation_data=Batches(*validation, rows_per_chunk(validation[0].shape[1:], most=256), None),
        initial_epoch=recipe.epochs if ending.is_last() else len(rows),
        epochs=recipe.epochs,
        shuffle=False,  # Batches does it
        class_weight=_balanced(train[1]) if recipe.class_weight == "balanced" else None,
        verbose=1 if sys.stdout.isatty() else 2,  # a bar in a terminal, a line per epoch in a log file
        callbacks=[ending],
    )
    model.set_weights(ending.best or kept_weights(trained))
    return pd.DataFrame(rows).drop(columns=list(_TIMES))


def _steps_at_once(model: keras.Model, batch_size: int) -> int:
    """How many steps to take without coming back to Python, which costs some milliseconds: many where they are short.

    The result is the same, to the bit.
    """
    return 16 if costs.mflops(model) * batch_size < _LONG_STEP else 1


def _training_batches(
    images: NDArray[np.float32], labels: NDArray[np.float32], recipe: FitParams, epoch: int
) -> Batches:
    """The batches, with smooth labels (C. Szegedy et al., "Rethinking the Inception Architecture", 2016)."""
    smooth = labels * (1 - recipe.label_smoothing) + np.float32(recipe.label_smoothing / labels.shape[1])
    flip = augmentation.flips(recipe.augment)
    return Batches(images, smooth, recipe.batch_size, recipe.seed, epoch=epoch, alternating_flip=flip)


def _balanced(labels: NDArray[np.float32]) -> dict[int, float]:
    """A weight per class: with it, each class has the same part in the loss."""
    counts = labels.sum(axis=0)
    return {i: float(len(labels) / (len(counts) * count)) for i, count in enumerate(counts) if count}


class _EndOfEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds each epoch to the rows of the history, keeps the checkpoint, then tells of it; ends the training in time.

    Validation sees the moving average of the weights where there is one. `best` are the weights of the best epoch,
    where the training has patience.
    """

    def __init__(
        self,
        rows: list[Row],
        best: list[NDArray[Any]],
        patience: int,
        checkpoint: Checkpoint,
        on_epoch: OnEpoch,
    ) -> None:
        super().__init__()
        self._rows, self.best, self._patience = rows, best, patience
        self._checkpoint, self._on_epoch = checkpoint, on_epoch

    def is_last(self) -> bool:
        """Whether patience has run out."""
        if not self._patience or not self._rows:
            return False
        return len(self._rows) - _best_epoch(self._rows) >= self._patience

    def on_epoch_begin(self, *_: Any) -> None:
        self._start = time.monotonic()

    def on_test_begin(self, *_: Any) -> None:
        if self.model.averages:
            self._weights = self.model.core.get_weights()
            self.model.core.set_weights(kept_weights(self.model))

    def on_test_end(self, *_: Any) -> None:
        if self._patience:
            self._validated = self.model.core.get_weights()
        if self.model.averages:
            self.model.core.set_weights(self._weights)

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
        if self._patience and _best_epoch(self._rows) == row["epoch"]:
            self.best = self._validated
        self.model.stop_training = self.is_last()
        self._checkpoint.save(self.model, self._rows, self.best)
        self._on_epoch(row)


def _best_epoch(rows: list[Row]) -> int:
    """The first epoch of the highest validation accuracy."""
    return int(max(rows, key=lambda row: row["validation_accuracy"])["epoch"])


def summary(history: pd.DataFrame, model: keras.Model, patience: int) -> dict[str, Any]:
    """What `dvc exp show` compares experiments by: the validation split chooses, the test split reports.

    Args:
        history: as `fit` returns it.
        model: that was trained.
        patience: where it is above 0, the model is that of the best epoch, else that of the last.
    """
    best = history.loc[history["validation_accuracy"].idxmax()]
    kept = best if patience else history.iloc[-1]
    return {
        "validation_loss": float(kept["validation_loss"]),
        "validation_accuracy": float(kept["validation_accuracy"]),
        "best_epoch": int(best["epoch"]),
        "best_validation_accuracy": float(best["validation_accuracy"]),
        "parameters": costs.parameters(model),
        "mflops": round(costs.mflops(model), 3),
    }
