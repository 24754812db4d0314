"""Summarise a training run."""

from reprocnn.artifacts.history import Epoch, best_epoch
from reprocnn.artifacts.training import TrainingSummary
from reprocnn.backend import keras
from reprocnn.models import costs


def summary(history: list[Epoch], model: keras.Model, patience: int, onnx_difference: float) -> TrainingSummary:
    """Return the summary metrics of a training run.

    Args:
        history: as `fit` returns it.
        model: the trained model.
        patience: early-stopping patience. Above 0, the model has the weights of the best epoch, otherwise of the last.
        onnx_difference: the largest difference of a probability between the ONNX model and the Keras model.
    """
    best = best_epoch(history)
    kept = best if patience else history[-1]
    return TrainingSummary(
        validation_loss=kept.validation_loss,
        validation_accuracy=kept.validation_accuracy,
        best_epoch=best.epoch,
        best_validation_accuracy=best.validation_accuracy,
        parameters=costs.parameters(model),
        onnx_difference=onnx_difference,
        mflops=round(costs.mflops(model), 3),
    )
