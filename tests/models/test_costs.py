import pytest

from reprocnn.models import costs
from reprocnn.models.build import build
from reprocnn.params import ModelParams


def test_a_multiply_add_counts_as_two_operations() -> None:
    simple = build(ModelParams(model="simple_cnn"), (28, 28, 1), 10, 0)
    first, second, dense, output = 26 * 26 * 9 * 32, 11 * 11 * 9 * 32 * 64, 5 * 5 * 64 * 64, 64 * 10
    assert costs.mflops(simple) == pytest.approx(2 * (first + second + dense + output) / 1e6)


def test_the_cost_of_resnet_equals_that_of_other_counters() -> None:
    """Torchvision-style counters give 40.55 million multiply-adds for ResNet-20 with option A."""
    assert costs.mflops(build(ModelParams(model="resnet"), (32, 32, 3), 10, 0)) / 2 == pytest.approx(40.55, abs=0.01)


def test_parameters_and_depth_are_counted_as_in_the_papers() -> None:
    """Batch-normalisation statistics and the whitening layer are not trained, so they don't count."""
    assert costs.parameters(build(ModelParams(model="inception"), (32, 32, 3), 10, 0)) == 1_649_402
    assert costs.depth(build(ModelParams(model="speednet"), (32, 32, 3), 10, 0)) == 7
    assert costs.depth(build(ModelParams(model="resnet", depth=32), (32, 32, 3), 10, 0)) == 32
    assert costs.depth(build(ModelParams(model="alexnet"), (32, 32, 3), 10, 0)) == 8
