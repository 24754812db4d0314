import numpy as np
import pytest

from reprocnn.backend import keras, tf
from reprocnn.catalog import MODELS
from reprocnn.models.build import build
from reprocnn.params import AUGMENTATIONS, ModelParams
from reprocnn.training.training_model import (
    FusedBatchNormalization,
    SmallMapConvolution,
    kept_weights,
    training_model,
)

IMAGES = np.random.default_rng(0).normal(3, 2, (16, 6, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("scale", [True, False])
def test_fused_batch_normalisation_equals_that_of_keras(scale: bool) -> None:
    made = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(scale=scale, momentum=0.7)
        outputs = [np.array(layer(IMAGES, training=True)) for _ in range(2)]
        made.append([*outputs, np.array(layer(IMAGES)), *layer.get_weights()])
    pixels = 16 * 6 * 6
    made[0][-1] = (made[0][-1] - 0.49) * (pixels - 1) / pixels + 0.49  # divided by n instead of n - 1
    for ours, keras_own in zip(*made, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (2, 5), (5, 4)])
@pytest.mark.parametrize("side", [1, 2, 6])
def test_the_convolution_of_small_maps_has_the_values_and_gradients_of_keras(
    kernel: tuple[int, int], side: int
) -> None:
    options = {"padding": "same", "activation": "relu", "bias_initializer": "ones"}
    maps = tf.constant(IMAGES[:, :side, :side])
    found = []
    for kind in (SmallMapConvolution, keras.layers.Conv2D):
        layer = kind(5, kernel, kernel_initializer=keras.initializers.GlorotUniform(0), **options)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            output = layer(maps)
            loss = tf.reduce_sum(output**2)
        found.append([output, *tape.gradient(loss, [maps, layer.kernel.value, layer.bias.value])])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("precision", "images", "small", "replaced"),
    [("float32", 12, 0, 0), ("bfloat16", 12, 0, 3), ("bfloat16", 12, 1, 3), ("bfloat16", 40, 0, 1)],
    ids=["float32", "bfloat16", "first steps on smaller images", "larger images"],
)
def test_bfloat16_uses_it_for_small_maps_of_many_channels(
    precision: str, images: int, small: int, replaced: int
) -> None:
    model = build(ModelParams(model="speednet", width=32), (images, images, 3), 10, 0)
    trained = training_model(model, (), precision, 0, 0, small_steps=small)
    used = [layer for layer in trained.core.layers if isinstance(layer, SmallMapConvolution)]
    assert len(used) == replaced
    trained.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", jit_compile=False)
    batch = np.random.default_rng(0).random((4, images, images, 3), dtype=np.float32), np.eye(10)[:4]
    before = [layer.get_weights()[0] for layer in used]
    assert np.isfinite([trained.train_on_batch(*batch) for _ in range(2)]).all()
    assert all((layer.get_weights()[0] != old).any() for layer, old in zip(used, before, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_training_form_has_the_same_weights_and_about_the_same_predictions(precision: str) -> None:
    model = build(ModelParams(model="resnet", depth=8), (12, 12, 3), 10, 0)
    trained = training_model(model, ("shift",), precision, 0, 0)
    core = trained.core
    for ours, plain in zip(core.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, plain)
    images = np.random.default_rng(0).random((4, 12, 12, 3), dtype=np.float32)
    probabilities = trained(images, training=False)
    assert probabilities.dtype == "float32"
    np.testing.assert_allclose(probabilities, model(images), atol=0.02 if precision == "bfloat16" else 1e-5)
    assert all(v.dtype == "float32" for v in core.trainable_variables)
    assert core.get_layer("conv").compute_dtype == precision


def test_a_frozen_layer_stays_frozen() -> None:
    model = build(ModelParams(model="speednet", width=8), (12, 12, 3), 10, 0)
    trained = training_model(model, (), "float32", 0, 0)
    trained.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", jit_compile=False)
    before = trained.core.get_weights()
    trained.train_on_batch(np.random.default_rng(0).random((4, 12, 12, 3), dtype=np.float32), np.eye(10)[:4])
    pairs = zip(trained.core.weights, before, strict=True)
    unchanged = {
        weight.path.split("/")[-2] for weight, old in pairs if weight.name == "kernel" and (weight == old).numpy().all()
    }
    assert unchanged == {"whitening"}


def test_the_moving_average_covers_weights_and_batch_statistics_from_the_first_step() -> None:
    model = build(ModelParams(model="resnet", depth=8), (8, 8, 1), 2, 0)
    trained = training_model(model, (), "float32", 0.7, 0)
    trained.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", jit_compile=False)
    images = np.random.default_rng(0).random((4, 8, 8, 1), dtype=np.float32)
    expected = trained.core.get_weights()
    for step in range(1, 41):
        trained.train_on_batch(images, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])
        momentum = min(0.7, (1 + step) / (10 + step))
        pairs = zip(expected, trained.core.get_weights(), strict=True)
        expected = [momentum * average + (1 - momentum) * weight for average, weight in pairs]
    names = [weight.name for weight in trained.core.weights]
    assert {"kernel", "moving_mean", "moving_variance"} <= set(names)
    for average, wanted in zip(kept_weights(trained), expected, strict=True):
        np.testing.assert_allclose(average, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].any_size])
@pytest.mark.parametrize("side", [4, 7, 8, 10, 16])
def test_the_first_steps_take_smaller_images_of_any_size(name: str, side: int) -> None:
    model = build(ModelParams(model=name), (side, side, 3), 10, 0)
    trained = training_model(model, AUGMENTATIONS, "float32", 0, 0, small_steps=1)
    trained.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", jit_compile=False)
    images = np.random.default_rng(0).random((4, side, side, 3), dtype=np.float32)
    losses = [trained.train_on_batch(images, np.eye(10)[:4]) for _ in range(2)]
    assert np.isfinite(losses).all()
    np.testing.assert_allclose(trained(images, training=False).numpy().sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODELS if not MODELS[name].any_size])
def test_the_other_models_need_images_of_one_size(name: str) -> None:
    model = build(ModelParams(model=name), (32, 32, 3), 10, 0)
    with pytest.raises(ValueError, match="dimension"):
        training_model(model, (), "float32", 0, 0, small_steps=1)


def test_augmentation_is_active_only_in_training() -> None:
    model = build(ModelParams(model="mlp"), (8, 8, 1), 2, 0)
    images = np.random.default_rng(0).random((4, 8, 8, 1), dtype=np.float32)
    trained = training_model(model, ("shift", "rotate"), "float32", 0, 0)
    assert [layer.name for layer in trained.layers][1:-1] == ["augment_shift", "augment_rotate"]
    assert not np.allclose(trained(images, training=True), model(images))
    np.testing.assert_allclose(trained(images, training=False), model(images), rtol=1e-5)
