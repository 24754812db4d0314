import re

import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models.registry import build


def _layers(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers[1:]]


def test_simple_cnn_is_the_texts_mnist_net() -> None:
    model = build("simple_cnn", (28, 28, 1), 10, {}, 0)
    assert _layers(model) == [
        *("Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense"),
    ]
    assert model.count_params() == 320 + 18496 + 5 * 5 * 64 * 64 + 64 + 650


def test_deep_cnn_is_the_texts_cifar_net() -> None:
    model = build("deep_cnn", (32, 32, 3), 10, {}, 0)
    assert _layers(model) == [
        *("Conv2D", "Conv2D", "MaxPooling2D", "Conv2D", "Conv2D", "MaxPooling2D"),
        *("Flatten", "Dense", "Dropout", "Dense"),
    ]
    convolutions = 896 + 9248 + 18496 + 36928
    assert model.count_params() == convolutions + 8 * 8 * 64 * 512 + 512 + 5130
    assert model.get_layer("dropout").rate == 0.5


def test_mlp_is_the_texts_dense_net() -> None:
    model = build("mlp", (28, 28, 1), 10, {}, 0)
    assert _layers(model) == ["Flatten", "Dense", "Dense", "Dense"]
    assert model.count_params() == 784 * 128 + 128 + 128 * 64 + 64 + 650


@pytest.mark.parametrize("name", ["mlp", "simple_cnn", "deep_cnn"])
def test_a_model_gives_a_probability_a_class(name: str) -> None:
    model = build(name, (16, 16, 3), 7, {}, 0)
    probabilities = model.predict_on_batch(np.zeros((2, 16, 16, 3), np.float32))
    assert probabilities.shape == (2, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "simple_cnn", "deep_cnn"])
def test_names_do_not_depend_on_what_was_built_before(name: str) -> None:
    first, second = (build(name, (16, 16, 3), 7, {"dropout": 0.3}, 0) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@pytest.mark.parametrize("name", ["mlp", "simple_cnn", "deep_cnn"])
def test_each_layer_draws_with_a_seed_of_its_own(name: str) -> None:
    model, other = build(name, (16, 16, 3), 7, {"dropout": 0.3}, 5), build(name, (16, 16, 3), 7, {"dropout": 0.0}, 5)
    weights, others = ({v.path: np.array(v) for v in m.weights} for m in (model, other))
    assert weights.keys() == others.keys()
    for path, value in weights.items():  # what dropout draws does not move what the others draw
        np.testing.assert_array_equal(value, others[path])
    seeds = re.findall(r'"seed": (\w+)', model.to_json())
    assert "null" not in seeds
    assert len(set(seeds)) == len(seeds) > 3
    changed = build(name, (16, 16, 3), 7, {}, 6)
    kernels = [v.path for v in model.weights if v.path.endswith("kernel")]
    assert not any(np.array_equal(weights[v.path], v) for v in changed.weights if v.path in kernels)


def test_options_change_the_layers() -> None:
    options = {"padding": "same", "strides": 2, "pooling": "average", "dropout": 0.25}
    model = build("simple_cnn", (28, 28, 1), 10, options, 0)
    convolution = model.get_layer("block1_conv1")
    assert (convolution.padding, convolution.strides) == ("same", (2, 2))
    assert isinstance(model.get_layer("block2_pool"), keras.layers.AveragePooling2D)
    assert model.get_layer("dropout").rate == 0.25
    assert "dropout" not in [layer.name for layer in build("deep_cnn", (16, 16, 1), 2, {"dropout": 0.0}, 0).layers]


def test_an_option_that_a_model_would_ignore_is_refused() -> None:
    with pytest.raises(UserError, match=r"model=mlp has no strides.*\n.*mlp takes dropout"):
        build("mlp", (28, 28, 1), 10, {"strides": 2}, 0)


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
        build(name, (size, size, 1), 10, options, 0)
    assert f"model={name} is too deep for images of {size}x{size}" in str(caught.value)
    assert layer in str(caught.value)
