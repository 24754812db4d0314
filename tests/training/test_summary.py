import pytest

from reprocnn.artifacts.history import Epoch
from reprocnn.models import costs
from reprocnn.models.build import build
from reprocnn.params import ModelParams
from reprocnn.training.summary import summary

HISTORY = [Epoch(number, 0.5, 0.5, 1 / number, accuracy, 0.1) for number, accuracy in enumerate((0.5, 0.9, 0.8), 1)]


@pytest.mark.parametrize(("patience", "kept"), [(0, 3), (1, 2)])
def test_the_metrics_are_those_of_the_epoch_whose_weights_are_saved(patience: int, kept: int) -> None:
    model = build(ModelParams(model="mlp"), (8, 8, 1), 2, 0)
    metrics = summary(HISTORY, model, patience, 1e-6)
    assert metrics.validation_loss == 1 / kept
    assert metrics.validation_accuracy == HISTORY[kept - 1].validation_accuracy
    assert (metrics.best_epoch, metrics.best_validation_accuracy) == (2, 0.9)
    assert metrics.parameters == costs.parameters(model)
    assert metrics.mflops == round(costs.mflops(model), 3)
