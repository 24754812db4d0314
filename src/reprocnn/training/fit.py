"""Train a model on the categorical cross-entropy by a recipe."""

import math
import sys
import time
from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.history import Epoch, best_epoch
from reprocnn.artifacts.split import Split, rows_per_chunk
from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models import costs
from reprocnn.params import FitParams
from reprocnn.training import augmentation
from reprocnn.training.batches import Batches
from reprocnn.training.hooks import NoCheckpoint, NoJournal, Weights
from reprocnn.training.optimizers import optimizer
from reprocnn.training.training_model import TrainingModel, kept_weights, training_model

_LONG_STEP = 5_000
"""MFLOPs of the forward pass of a step that takes a few hundred milliseconds on one core."""


def fit(
    model: keras.Model,
    train: Split,
    validation: Split,
    recipe: FitParams,
    *,
    checkpoint: NoCheckpoint = NoCheckpoint(),
    journal: NoJournal = NoJournal(),
) -> list[Epoch]:
    """Train a model in place, starting from the checkpoint if there is one.

    Args:
        model: maps normalised images to class probabilities, as `models.build` returns it.
        train: images float32 (N, height, width, channels), normalised; labels float32 (N, classes), one-hot.
        validation: the same for the validation split.
        recipe: the training options.
        checkpoint: saved after each epoch.
        journal: records each epoch as it ends.

    Returns:
        The history: all epochs, including those before the checkpoint.

    Raises:
        UserError: a batch is larger than the training split, or the loss became NaN or infinite.
    """
    check_batch_size(recipe.batch_size, len(train.images))
    trained = _compile(model, len(train.images), recipe)
    history, best = checkpoint.restore(trained)
    batches, done = _training_batches(train, recipe), len(history)
    ending = _EndOfEpoch(history, best, recipe, checkpoint, journal)
    if done:
        at = f"after its last epoch, {done}" if ending.is_last() else f"at epoch {done + 1}"
        print(f"resuming {at} of {recipe.epochs}", flush=True)
    trained.fit(
        batches.dataset(),
        validation_data=Batches(validation, rows_per_chunk(validation.images.shape[1:], most=256), None).dataset(),
        initial_epoch=recipe.epochs if ending.is_last() else done,
        epochs=recipe.epochs,
        shuffle=False,  # Batches does it
        class_weight=_class_weights(train.labels) if recipe.class_weight == "balanced" else None,
        verbose=1 if sys.stdout.isatty() else 2,  # a bar in a terminal, a line per epoch in a log file
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=batches.begin_epoch), ending],
    )
    model.set_weights(ending.best or kept_weights(trained))
    return history


def check_batch_size(batch_size: int, images: int) -> None:
    """Refuse a batch size that is larger than the training split.

    Args:
        batch_size: images per batch.
        images: the number of training images.

    Raises:
        UserError: the batch size is larger.
    """
    if batch_size > images:
        problem = f"batch_size={batch_size} is larger than the {images} training images"
        raise UserError(problem, f"-S batch_size={images} or less")


def _compile(model: keras.Model, images: int, recipe: FitParams) -> TrainingModel:
    """Build and compile the training form of the model.

    Args:
        model: the plain model; it is not changed.
        images: the number of training images.
        recipe: the training options.
    """
    steps = recipe.epochs * math.ceil(images / recipe.batch_size)
    trained = training_model(
        model,
        recipe.augment,
        recipe.precision,
        recipe.ema,
        recipe.seed,
        small_steps=round(recipe.low_resolution * steps),
    )
    trained.compile(
        optimizer=optimizer(recipe, steps, trained.trainable_variables),
        loss=keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,  # on a CPU, XLA makes these nets 2 to 8 times slower
        steps_per_execution=_steps_at_once(model, recipe.batch_size),
    )
    return trained


def _steps_at_once(model: keras.Model, batch_size: int) -> int:
    """Return the number of steps per call from Python.

    Each call costs a few milliseconds, so short steps are grouped. The result is bit-identical.
    """
    return 16 if costs.mflops(model) * batch_size < _LONG_STEP else 1


def _training_batches(train: Split, recipe: FitParams) -> Batches:
    """Build the training batches, with label smoothing.

    C. Szegedy et al., "Rethinking the Inception Architecture", 2016.
    """
    images, labels = train
    smooth = labels * (1 - recipe.label_smoothing) + np.float32(recipe.label_smoothing / labels.shape[1])
    flip = augmentation.flips(recipe.augment)
    return Batches(Split(images, smooth), recipe.batch_size, recipe.seed, alternating_flip=flip)


def _class_weights(labels: NDArray[np.float32]) -> dict[int, float]:
    """Compute weights, class -> weight, with which all classes contribute equally to the loss."""
    counts = labels.sum(axis=0)
    return {i: float(len(labels) / (len(counts) * count)) for i, count in enumerate(counts) if count}


class _EndOfEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Callback that acts per epoch: record, checkpoint, notify, stop early.

    Validation uses the moving average of the weights if there is one. With early stopping, `best` holds the weights of
    the best epoch.
    """

    def __init__(
        self, history: list[Epoch], best: Weights, recipe: FitParams, checkpoint: NoCheckpoint, journal: NoJournal
    ) -> None:
        super().__init__()
        self._history, self.best, self._recipe = history, best, recipe
        self._checkpoint, self._journal = checkpoint, journal

    def is_last(self) -> bool:
        """Return whether the training is finished: all epochs are done, or the early-stopping patience is used up."""
        done, patience = len(self._history), self._recipe.patience
        out_of_patience = patience and done and done - best_epoch(self._history).epoch >= patience
        return done == self._recipe.epochs or bool(out_of_patience)

    def on_epoch_begin(self, *_: Any) -> None:
        self._start = time.monotonic()

    def on_test_begin(self, *_: Any) -> None:
        if self.model.averages:
            self._weights = self.model.core.get_weights()
            self.model.core.set_weights(kept_weights(self.model))

    def on_test_end(self, *_: Any) -> None:
        if self._recipe.patience:
            self._validated = self.model.core.get_weights()
        if self.model.averages:
            self.model.core.set_weights(self._weights)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        ended = Epoch(
            epoch=epoch + 1,
            train_loss=logs["loss"],
            train_accuracy=logs["accuracy"],
            validation_loss=logs["val_loss"],
            validation_accuracy=logs["val_accuracy"],
            learning_rate=float(self.model.optimizer.learning_rate),
        )
        if not all(map(math.isfinite, astuple(ended))):
            raise UserError(f"the loss is NaN or infinite after epoch {ended.epoch}", "lower learning_rate")
        self._history.append(ended)
        if self._recipe.patience and best_epoch(self._history) == ended:
            self.best = self._validated
        self.model.stop_training = self.is_last()
        # Journal first: if killed in between, the journal gets this epoch twice, but never misses one.
        self._journal.epoch(ended, time.monotonic() - self._start)
        self._checkpoint.save(self.model, self._history, self.best)
