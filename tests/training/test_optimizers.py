import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.params import FitParams
from reprocnn.training.optimizers import ConvolutionMuon, FusedAdam, optimizer
from reprocnn.training.schedules import WarmupSchedule


def _model() -> keras.Model:
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, name="a"), keras.layers.Dense(3, name="b")])
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(np.random.default_rng(i).normal(size=variable.shape))
    return model


def _steps(model: keras.Model, built: keras.optimizers.Optimizer, n: int = 5) -> list[np.ndarray]:
    for step in range(n):
        random = np.random.default_rng(100 + step)
        built.apply([keras.ops.array(random.normal(size=v.shape), "float32") for v in model.trainable_variables])
    return [np.array(v) for v in model.trainable_variables]


@pytest.mark.parametrize("decay", [None, 0.3])
def test_fused_adam_equals_keras_adam(decay: float | None) -> None:
    ours, keras_own = (_model() for _ in range(2))
    updated = []
    for model, kind in ((ours, FusedAdam), (keras_own, keras.optimizers.Adam)):
        adam = kind(0.1, weight_decay=decay)
        adam.build(model.trainable_variables)
        updated.append(_steps(model, adam))
    for a, b in zip(*updated, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def _moved_by_muon(shape: tuple[int, ...], start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    kernel = keras.Variable(start.reshape(shape), dtype="float32", name="kernel")
    muon = ConvolutionMuon(0.1, ns_steps=3)
    muon.build([kernel])
    for gradient in gradients:
        muon.apply([keras.ops.array(gradient.reshape(shape), "float32")])
    return np.array(kernel).reshape(36, 8)


def test_muon_updates_a_convolution_kernel_as_a_matrix() -> None:
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(36, 8)), random.normal(size=(3, 36, 8))
    kernel, matrix = (_moved_by_muon(shape, start, gradients) for shape in ((3, 3, 4, 8), (36, 8)))
    np.testing.assert_allclose(kernel, matrix, rtol=1e-4, atol=1e-5)


def test_a_step_of_muon_is_orthogonal_and_relative_to_the_norm_of_the_kernel() -> None:
    random = np.random.default_rng(0)
    start, gradient = random.normal(size=(36, 8)), random.normal(size=(1, 36, 8))
    moved = _moved_by_muon((36, 8), start, gradient)
    np.testing.assert_allclose(moved, _moved_by_muon((36, 8), 7 * start, gradient), rtol=1e-4, atol=1e-5)
    step = start * np.sqrt(8) / np.linalg.norm(start) - moved
    lengths = np.linalg.svd(step, compute_uv=False) / 0.1
    assert 0.4 < lengths.min() < lengths.max() < 1.4  # those of a step of Adam would differ more
    assert (step * gradient[0]).sum() > 0


def test_muon_uses_adamw_for_the_output_layer_and_biases() -> None:
    weights = []
    for decay in (0.0, 0.5):
        x = keras.Input((5,))
        model = keras.Model(x, keras.layers.Dense(3, name="output")(keras.layers.Dense(4, name="hidden")(x)))
        model.set_weights([np.ones(v.shape) for v in model.trainable_variables])
        built = optimizer(FitParams(optimizer="muon", weight_decay=decay), 1, model.trainable_variables)
        weights.append(_steps(model, built, n=1))
    variables = model.trainable_variables
    adam = [v.path for v in variables if built.adam_velocities[built._get_variable_index(v)] is not None]
    assert adam == ["hidden/bias", "output/kernel", "output/bias"]
    changed = [v.path for v, a, b in zip(variables, *weights, strict=True) if not np.array_equal(a, b)]
    assert changed == ["output/kernel"]  # the norm of the others is fixed


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_kernels_decay_and_biases_do_not(name: str) -> None:
    weights = []
    for decay in (0.0, 0.5):
        model = _model()
        recipe = FitParams(optimizer=name, weight_decay=decay, learning_rate=0.1)
        weights.append(_steps(model, optimizer(recipe, 10, model.trainable_variables), n=1))
    for plain, decayed in zip(*weights, strict=True):
        assert np.array_equal(plain, decayed) is (plain.ndim < 2)
        assert np.abs(decayed).mean() <= np.abs(plain).mean()


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "muon"])
def test_an_optimizer_follows_the_schedule(name: str) -> None:
    model = _model()
    built = optimizer(FitParams(optimizer=name, schedule="one_cycle"), 5, model.trainable_variables)
    _steps(model, built, n=5)
    assert float(built.learning_rate) == 0


@pytest.mark.parametrize(
    ("kind", "warmup", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1]),
        ("constant", 0.5, [0.2, 0.6, 1, 1, 1]),
        ("one_cycle", 0.0, [1, 0.75, 0.5, 0.25, 0]),
        ("one_cycle", 0.5, [0.2, 0.6, 1, 0.5, 0]),
        ("cosine", 0.0, [1, 0.853553, 0.5, 0.146447, 0]),
        ("cosine", 0.5, [0.2, 0.6, 1, 0.5, 0]),
    ],
)
def test_a_learning_rate_rises_and_falls(kind: str, warmup: float, expected: list[float]) -> None:
    rate = WarmupSchedule(kind, 2.0, 100, warmup)
    found = [float(rate(step)) / 2 for step in (0, 25, 50, 75, 100)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert float(rate(101)) >= 0
