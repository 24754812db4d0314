"""What `fit` tells of each epoch: null objects, which do nothing; `run` has the ones that write."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reprocnn.artifacts.history import Epoch

if TYPE_CHECKING:  # the import takes seconds
    import keras

Weights = list[NDArray[Any]]
"""Of a model, in the order of `model.get_weights()`."""


class NoCheckpoint:
    """A checkpoint that keeps nothing: the training starts at its first epoch."""

    def restore(self, model: "keras.Model") -> tuple[list[Epoch], Weights]:  # noqa: ARG002
        """Bring a model, built and compiled, to the state that was kept.

        Returns:
            The history so far, empty at first, and the weights of the best epoch, empty where they were not kept.
        """
        return [], []

    def save(self, model: "keras.Model", epochs: list[Epoch], best: Weights) -> None:
        """Keep the state after an epoch.

        Args:
            model: built and compiled.
            epochs: the history so far.
            best: the weights of the best epoch so far; may be empty.
        """


class NoJournal:
    """A journal that writes nothing."""

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Add an epoch as it ends.

        An epoch may come again, with the same values, after a training was killed before its checkpoint was written.

        Args:
            epoch: its row of the history.
            seconds: that it took.
        """
