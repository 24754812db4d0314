"""Define the checkpoint and journal that `fit` calls. These do nothing; the package `run` has the ones that write."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reprocnn.artifacts.history import Epoch

if TYPE_CHECKING:  # the import takes seconds
    import keras

Weights = list[NDArray[Any]]
"""Of a model, in the order of `model.get_weights()`."""


class NoCheckpoint:
    """A checkpoint that stores nothing, so that the training starts at its first epoch."""

    def restore(self, model: "keras.Model") -> tuple[list[Epoch], Weights]:  # noqa: ARG002
        """Restore a model to the saved state.

        Args:
            model: built and compiled.

        Returns:
            The history so far, empty at first, and the weights of the best epoch, empty if none are stored.
        """
        return [], []

    def save(self, model: "keras.Model", epochs: list[Epoch], best: Weights) -> None:
        """Save the state after an epoch.

        Args:
            model: built and compiled.
            epochs: the history so far.
            best: the weights of the best epoch so far; may be empty.
        """


class NoJournal:
    """A journal that writes nothing."""

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Record an epoch as it ends.

        If a training was killed before its checkpoint was written, the same epoch is recorded again, with the same
        values.

        Args:
            epoch: its row of the history.
            seconds: its duration.
        """
