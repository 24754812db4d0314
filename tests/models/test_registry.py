import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models.registry import build


def _layers(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers[1:]]


def test_simple_cnn_is_the_texts_mnist_net() -> None:
    model = build("simple_cnn", (28, 28, 1), 10, {})
    assert _layers(model) == [
        *("Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense"),
    ]
    assert model.count_params() == 320 + 18496 + 5 * 5 * 64 * 64 + 64 + 650


def test_deep_cnn_is_the_texts_cifar_net() -> None:
    model = build("deep_cnn", (32, 32, 3), 10, {})
    assert _layers(model) == [
        *("Conv2D", "Conv2D", "MaxPooling2D", "Conv2D", "Conv2D", "MaxPooling2D"),
        *("Flatten", "Dense", "Dropout", "Dense"),
    ]
    convolutions = 896 + 9248 + 18496 + 36928
    assert model.count_params() == convolutions + 8 * 8 * 64 * 512 + 512 + 5130
    assert model.get_layer("dropout").rate == 0.5


def test_mlp_is_the_texts_dense_net() -> None:
    model = build("mlp", (28, 28, 1), 10, {})
    assert _layers(model) == ["Flatten", "Dense", "Dense", "Dense"]
    assert model.count_params() == 784 * 128 + 128 + 128 * 64 + 64 + 650


@pytest.mark.parametrize("name", ["mlp", "simple_cnn", "deep_cnn"])
def test_a_model_gives_a_probability_a_class(name: str) -> None:
    model = build(name, (16, 16, 3), 7, {})
    probabilities = model.predict_on_batch(np.zeros((2, 16, 16, 3), np.float32))
    assert probabilities.shape == (2, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "simple_cnn", "deep_cnn"])
def test_names_do_not_depend_on_what_was_built_before(name: str) -> None:
    first, second = (build(name, (16, 16, 3), 7, {"dropout": 0.3}) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


def test_options_change_the_layers() -> None:
    options = {"padding": "same", "strides": 2, "pooling": "average", "dropout": 0.25}
    model = build("simple_cnn", (28, 28, 1), 10, options)
    convolution = model.get_layer("block1_conv1")
    assert (convolution.padding, convolution.strides) == ("same", (2, 2))
    assert isinstance(model.get_layer("block2_pool"), keras.layers.AveragePooling2D)
    assert model.get_layer("dropout").rate == 0.25
    assert "dropout" not in [layer.name for layer in build("deep_cnn", (16, 16, 1), 2, {"dropout": 0.0}).layers]


def test_an_option_that_a_model_would_ignore_is_refused() -> None:
    with pytest.raises(UserError, match=r"model=mlp has no strides.*\n.*mlp takes dropout"):
        build("mlp", (28, 28, 1), 10, {"strides": 2})


@pytest.mark.parametrize(
    ("name", "size", "options", "layer"),
    [
        ("simple_cnn", 8, {}, "block2_pool needs 2x2 or more, found 1x1"),
        ("simple_cnn", 4, {}, "block2_conv1 needs 3x3 or more, found 1x1"),
        ("deep_cnn", 8, {"padding": "valid"}, "block2_conv1 needs 3x3 or more, found 2x2"),
        ("deep_cnn", 8, {"strides": 4}, "block2_pool needs 2x2 or more, found 1x1"),
    ],
)
def test_a_model_too_deep_for_the_images_is_refused(
    name: str, size: int, options: dict[str, object], layer: str
) -> None:
    with pytest.raises(UserError) as caught:
        build(name, (size, size, 1), 10, options)
    assert f"model={name} is too deep for images of {size}x{size}" in str(caught.value)
    assert layer in str(caught.value)
