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
    made = summary(HISTORY, model, patience)
    assert made.validation_loss == 1 / kept
    assert made.validation_accuracy == HISTORY[kept - 1].validation_accuracy
    assert (made.best_epoch, made.best_validation_accuracy) == (2, 0.9)
    assert made.parameters == costs.parameters(model)
    assert made.mflops == round(costs.mflops(model), 3)
