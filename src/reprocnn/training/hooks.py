"""Define the interface of the checkpoint and journal that `fit` calls.

The classes here do nothing; the package `run` has the subclasses that write files.
"""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reprocnn.artifacts.history import Epoch

if TYPE_CHECKING:  # the import takes seconds
    import keras

Weights = list[NDArray[Any]]
"""Weights of a model, float32 arrays in the order of `model.get_weights()`."""


class NoCheckpoint:
    """Checkpoint that stores nothing: training starts at the first epoch."""

    def restore(self, model: "keras.Model") -> tuple[list[Epoch], Weights]:  # noqa: ARG002
        """Restore a model to the saved state.

        Args:
            model: the training model, built and compiled.

        Returns:
            The history so far, empty at first, and the weights of the best epoch, empty if none are stored.
        """
        return [], []

    def save(self, model: "keras.Model", epochs: list[Epoch], best: Weights) -> None:
        """Save the state after an epoch.

        Args:
            model: the training model, built and compiled.
            epochs: the history so far.
            best: the weights of the best epoch so far; may be empty.
        """


class NoJournal:
    """Journal that writes nothing."""

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Record an epoch as it ends.

        If training is killed before it saves the checkpoint of an epoch, that epoch is recorded again when training
        resumes, with the same values.

        Args:
            epoch: its row of the history.
            seconds: its duration.
        """
