"""What `fit` tells of each epoch: null objects, so that a training needs neither a checkpoint nor a journal."""

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from reprocnn.artifacts.history import Epoch

if TYPE_CHECKING:
    import keras


class NoCheckpoint:
    """The checkpoint of a training that keeps none."""

    def restore(self, model: "keras.Model") -> tuple[list[Epoch], list[NDArray[Any]]]:
        """Bring a model, built and compiled, to the state that was kept.

        Returns:
            The history so far, and the weights of the best epoch; both empty where nothing was kept.
        """
        del model
        return [], []

    def save(self, model: "keras.Model", epochs: list[Epoch], best: list[NDArray[Any]]) -> None:
        """Keep the state after an epoch.

        Args:
            model: built and compiled.
            epochs: the history so far.
            best: the weights of the best epoch so far; may be empty.
        """


class NoJournal:
    """The journal of a training that keeps none."""

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Note an epoch as it ends, and how long it took."""
