import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.models.registry import build
from reprocnn.training.training_model import FusedBatchNormalization, training_model

IMAGES = np.random.default_rng(0).normal(3, 2, (16, 6, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("scale", [True, False])
def test_fused_batch_normalisation_is_keras_own(scale: bool) -> None:
    made = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(scale=scale, momentum=0.7)
        outputs = [np.array(layer(IMAGES, training=True)) for _ in range(2)]
        made.append([*outputs, np.array(layer(IMAGES)), *layer.get_weights()])
    pixels = 16 * 6 * 6
    made[0][-1] = (made[0][-1] - 0.49) * (pixels - 1) / pixels + 0.49  # n - 1 in the place of n
    for ours, keras_own in zip(*made, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_has_the_weights_of_the_model_and_gives_about_the_same(precision: str) -> None:
    model = build("resnet", (12, 12, 3), 10, {"depth": 8}, 0)
    trained, core = training_model(model, "shift", precision, 0)
    for ours, plain in zip(core.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, plain)
    images = np.random.default_rng(0).random((4, 12, 12, 3), dtype=np.float32)
    probabilities = trained(images, training=False)
    assert probabilities.dtype == "float32"
    np.testing.assert_allclose(probabilities, model(images), atol=0.02 if precision == "bfloat16" else 1e-5)
    assert all(v.dtype == "float32" for v in core.trainable_variables)
    assert core.get_layer("conv").compute_dtype == precision


def test_a_layer_that_is_frozen_stays_so() -> None:
    model = build("speednet", (12, 12, 3), 10, {"width": 8}, 0)
    _, core = training_model(model, "none", "float32", 0)
    assert [v.path for v in core.trainable_variables if "whitening" in v.path] == []
