import numpy as np

from reprocnn.models import speednet
from reprocnn.models.build import build, initialize
from reprocnn.params import ModelParams


def _images() -> np.ndarray:
    """Smooth images, whose neighbouring pixels are correlated; float32 (200, 12, 12, 3)."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(200, 12, 12, 3))
    return (noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2)).astype(np.float32)


def test_the_outputs_of_whitening_are_uncorrelated() -> None:
    images = _images()
    model = build(ModelParams(model="speednet", width=8), (12, 12, 3), 10, 0)
    initialize("speednet", model, images)
    made = model.get_layer("whitening")(images).numpy().reshape(-1, 24)[:, :12]
    np.testing.assert_allclose(made.T @ made / len(made), np.eye(12), atol=0.01)


def test_each_filter_has_its_negative() -> None:
    kernel = speednet.whitening_kernel(_images())
    np.testing.assert_array_equal(kernel[..., :12], -kernel[..., 12:])


def test_convolutions_start_as_the_identity() -> None:
    model = build(ModelParams(model="speednet", width=8), (12, 12, 3), 10, 0)
    before = model.get_layer("block2_identity1").get_weights()[0]
    initialize("speednet", model, _images())
    layer = model.get_layer("block2_identity1")
    x = np.random.default_rng(1).normal(size=(2, 5, 5, 8)).astype(np.float32)
    np.testing.assert_array_equal(layer(x).numpy()[..., :8], x)
    np.testing.assert_array_equal(layer.get_weights()[0][..., 8:], before[..., 8:])


def test_other_models_keep_their_initial_weights() -> None:
    model = build(ModelParams(model="deep_cnn"), (12, 12, 3), 10, 0)
    before = model.get_weights()
    initialize("deep_cnn", model, _images())
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
