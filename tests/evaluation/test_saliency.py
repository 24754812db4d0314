import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.catalog import MODELS
from reprocnn.evaluation import saliency
from reprocnn.evaluation.saliency import heat_maps
from reprocnn.models.build import build
from reprocnn.params import ModelParams

SIDE = 16


def _red_or_blue(gain: float = 1.0) -> keras.Model:
    """A network whose logits are the means of the red and the blue channel."""
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax", use_bias=False, name="output")(x))
    model.set_weights([gain * np.array([[[[1, 0], [0, 0], [0, 1]]]], np.float32), np.eye(2, dtype=np.float32)])
    return model


def _red_above_blue() -> np.ndarray:
    """A red square in the upper left and a blue one in the lower right."""
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    image[0, 2:6, 2:6, 0] = image[0, 10:14, 10:14, 2] = 200
    return image


@pytest.mark.parametrize("gain", [1.0, 100.0])
def test_grad_cam_finds_the_object_of_the_class(gain: float) -> None:
    model, image = _red_or_blue(gain), np.repeat(_red_above_blue(), 2, axis=0)
    image[:, 3, 3, 0] = 255  # with the high gain the probability of red is 1, and its gradient 0
    red, blue = heat_maps(model, image, np.array([0, 1]))
    assert red[2:6, 2:6].sum() == pytest.approx(red.sum())
    assert blue[10:14, 10:14].sum() == pytest.approx(blue.sum())
    assert (red.max(), blue.max(), red.dtype) == (1, 1, np.float32)
    assert np.unravel_index(red.argmax(), red.shape) == (3, 3)


def _upper_left() -> keras.Model:
    """A network without convolutions whose first logit is the brightness of the upper left quarter."""
    weights = np.zeros((SIDE, SIDE, 2), np.float32)
    weights[: SIDE // 2, : SIDE // 2, 0] = 0.01
    model = keras.Sequential([keras.Input((SIDE, SIDE, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    model.set_weights([weights.reshape(-1, 2), np.zeros(2, np.float32)])
    return model


def test_occlusion_finds_the_quarter_that_matters() -> None:
    image = np.full((1, SIDE, SIDE, 1), 40, np.uint8)
    image[0, 2:-2, 2:-2] = 200  # of all four quarters
    (first,) = heat_maps(_upper_left(), image, np.array([0]))
    half = SIDE // 2
    assert first[:half, :half].sum() > 0.75 * first.sum()  # patches across the border count for both sides
    assert first[half + 2 :].max() == first[:, half + 2 :].max() == 0
    assert first.max() == 1


@pytest.mark.parametrize("model", [_red_or_blue(-1.0), _upper_left()])
def test_a_class_without_evidence_has_an_empty_map(model: keras.Model) -> None:
    black = np.zeros((2, SIDE, SIDE, model.input_shape[-1]), np.uint8)
    assert not heat_maps(model, black, np.array([0, 1])).any()
    bright = black + np.uint8(200)
    assert not heat_maps(model, bright, np.array([0, 1])).any()


TOO_DEEP = {"simple_cnn", "lenet"}
"""Models that are too deep for images of 8x8 pixels unless padding=same."""


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_maps_of_small_images(name: str) -> None:
    small = {"depth": {"vgg": 11, "resnet": 8}[name]} if "depth" in MODELS[name].options else {}
    padding = {"padding": "same"} if name in TOO_DEEP else {}
    model = build(ModelParams(model=name, **small, **padding), (8, 8, 1), 3, 0)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.uint8)
    maps = heat_maps(model, images, np.array([0, 1, 2]))
    assert (maps.shape, maps.dtype) == ((3, 8, 8), np.float32)
    assert np.isfinite(maps).all()
    assert maps.min() >= 0
    assert set(maps.max(axis=(1, 2)).tolist()) <= {0.0, 1.0}
    assert maps.any()
    np.testing.assert_array_equal(maps, heat_maps(model, images, np.array([0, 1, 2])))


@pytest.mark.parametrize(
    ("name", "size", "cells", "layer"),
    [
        ("deep_cnn", 32, 16, "block2_conv2"),  # not the pooling after it
        ("deep_cnn", 8, 4, "block2_conv2"),
        ("resnet", 32, 8, "stage3_block1_relu"),
        ("resnet", 8, 4, "stage2_block1_relu"),  # not stage3_block1_conv1_padding, which the shortcut goes around
        ("vgg", 32, 4, "block4_conv2_relu"),  # block 5 has 2x2 cells
        ("mlp", 32, 0, ""),
    ],
)
def test_the_map_is_that_of_the_last_layer_with_enough_cells(name: str, size: int, cells: int, layer: str) -> None:
    small = {"depth": {"vgg": 11, "resnet": 8}[name]} if "depth" in MODELS[name].options else {}
    model = build(ModelParams(model=name, **small), (size, size, 3), 3, 0)
    parts = saliency._parts(model, saliency._logits(model))
    assert (parts is None) == (not cells)
    if parts:
        assert parts[0].output.shape[1:3] == (cells, cells)
        assert parts[0].layers[-1].name == layer


def _ending_in(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), *layers])


@pytest.mark.parametrize(
    "model",
    [
        _ending_in(keras.layers.Dense(3, activation="softmax")),
        _ending_in(keras.layers.Dense(3), keras.layers.Activation("softmax")),
        _ending_in(keras.layers.Dense(3), keras.layers.Softmax()),
    ],
)
def test_logits_give_the_probabilities_of_the_model(model: keras.Model) -> None:
    images = np.random.default_rng(0).random((4, 8, 8, 1), dtype=np.float32)
    logits = keras.Model(model.inputs[0], saliency._logits(model))(images)
    np.testing.assert_allclose(keras.ops.softmax(logits), model(images), rtol=1e-5)


def test_a_model_inside_a_model_is_explained_by_occlusion() -> None:
    inner = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)])
    image = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(inner(image))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(x))
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1)).astype(np.uint8)
    assert saliency._parts(model, saliency._logits(model)) is None
    assert np.isfinite(heat_maps(model, images, np.array([0]))).all()


def test_the_map_of_an_image_does_not_depend_on_the_others() -> None:
    images = np.random.default_rng(0).integers(0, 256, (70, SIDE, SIDE, 3)).astype(np.uint8)
    classes = np.arange(70) % 2
    model = _red_or_blue()
    together, alone = heat_maps(model, images, classes), heat_maps(model, images[66:67], classes[66:67])
    np.testing.assert_allclose(together[66:67], alone, atol=1e-6)
