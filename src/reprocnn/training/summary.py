"""The metrics of a training."""

from reprocnn.artifacts.history import Epoch, best_epoch
from reprocnn.artifacts.training import TrainingSummary
from reprocnn.backend import keras
from reprocnn.models import costs


def summary(history: list[Epoch], model: keras.Model, patience: int) -> TrainingSummary:
    """The metrics of a training.

    Args:
        history: as `fit` returns it.
        model: that was trained.
        patience: where it is above 0, the model is that of the best epoch, else that of the last.
    """
    best = best_epoch(history)
    kept = best if patience else history[-1]
    return TrainingSummary(
        validation_loss=kept.validation_loss,
        validation_accuracy=kept.validation_accuracy,
        best_epoch=best.epoch,
        best_validation_accuracy=best.validation_accuracy,
        parameters=costs.parameters(model),
        mflops=round(costs.mflops(model), 3),
    )
