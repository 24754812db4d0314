import inspect
import re
from contextlib import suppress
from typing import get_args

import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models.registry import FAMILIES, build
from reprocnn.params import MODEL_OPTIONS, ModelParams


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


@pytest.mark.parametrize(
    ("name", "shape", "options", "trained"),
    [
        ("lenet", (28, 28, 1), {}, 61_706),  # of LeNet-5 with full connections in its second convolution
        ("lenet", (32, 32, 1), {}, 61_706),
        ("resnet", (32, 32, 3), {"depth": 20}, 269_722),  # He et al., table 6: 0.27, 0.46, 0.66 and 0.85 million
        ("resnet", (32, 32, 3), {"depth": 32}, 464_154),
        ("resnet", (32, 32, 3), {"depth": 44}, 658_586),
        ("resnet", (32, 32, 3), {"depth": 56}, 853_018),
        ("inception", (28, 28, 3), {}, 1_649_402),  # Zhang et al., table 1
    ],
)
def test_a_papers_net_has_the_papers_parameters(
    name: str, shape: tuple[int, int, int], options: dict[str, object], trained: int
) -> None:
    model = build(name, shape, 10, options, 0)
    assert sum(v.shape.num_elements() for v in model.trainable_variables) == trained


def test_vgg_has_the_papers_convolutions() -> None:
    for depth, convolutions in ((11, 8), (13, 10), (16, 13), (19, 16)):
        model = build("vgg", (32, 32, 3), 10, {"depth": depth}, 0)
        filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        assert len(filters) == convolutions == depth - 3
        assert (filters[0], filters[-1]) == (64, 512)


def test_speednet_has_the_width_it_is_given() -> None:
    for width in (8, 64):
        model = build("speednet", (32, 32, 3), 10, {"width": width}, 0)
        filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        assert filters == [24, width, width, *[4 * width] * 4]
    assert model.get_layer("whitening").trainable is False


SIZES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (64, 64, 3)]
TOO_DEEP = {("simple_cnn", (8, 8, 1)), ("lenet", (8, 8, 1))}
"""By themselves; with padding=same they fit."""


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", SIZES)
def test_a_model_gives_a_probability_a_class_for_images_of_every_size(name: str, shape: tuple[int, int, int]) -> None:
    options = {"padding": "same"} if (name, shape) in TOO_DEEP else {}
    model = build(name, shape, 7, options, 0)
    probabilities = model(np.random.default_rng(0).random((2, *shape), dtype=np.float32)).numpy()
    assert probabilities.shape == (2, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_names_do_not_depend_on_what_was_built_before(name: str) -> None:
    first, second = (build(name, (32, 32, 3), 7, {"dropout": 0.3}, 0) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@pytest.mark.parametrize("name", FAMILIES)
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


@pytest.mark.parametrize("name", FAMILIES)
def test_every_option_of_a_model_changes_it(name: str) -> None:
    shape = (32, 32, 3)
    values = {
        "padding": ["same", "valid"],
        "strides": [1, 2],
        "pooling": ["max", "average"],
        "dropout": [0.0, 0.3],
        "batch_norm": [False, True],
        "depth": [11, 13] if name == "vgg" else [8, 14],
        "width": [4, 8],
    }
    for option in MODEL_OPTIONS[name]:
        both = []
        for value in values[option]:
            with suppress(UserError):  # vgg, with valid padding
                both.append(build(name, shape, 7, {option: value}, 0).to_json())
        assert both[0] != both[-1] or len(both) == 1, option


def test_options_change_the_layers() -> None:
    options = {"padding": "same", "strides": 2, "pooling": "average", "dropout": 0.25}
    model = build("simple_cnn", (28, 28, 1), 10, options, 0)
    convolution = model.get_layer("block1_conv1")
    assert (convolution.padding, convolution.strides) == ("same", (2, 2))
    assert isinstance(model.get_layer("block2_pool"), keras.layers.AveragePooling2D)
    assert model.get_layer("dropout").rate == 0.25
    assert "dropout" not in [layer.name for layer in build("deep_cnn", (16, 16, 1), 2, {"dropout": 0.0}, 0).layers]


@pytest.mark.parametrize(
    ("name", "size", "options", "layer"),
    [
        ("simple_cnn", 8, {}, "block2_pool needs 2x2 or more, found 1x1"),
        ("simple_cnn", 4, {}, "block2_conv1 needs 3x3 or more, found 1x1"),
        ("deep_cnn", 8, {"padding": "valid"}, "block2_conv1 needs 3x3 or more, found 2x2"),
        ("deep_cnn", 8, {"strides": 4}, "block2_pool needs 2x2 or more, found 1x1"),
        ("lenet", 8, {}, "conv2 needs 5x5 or more, found 4x4"),
        ("vgg", 32, {"padding": "valid"}, "block3_conv3 needs 3x3 or more, found 1x1"),
    ],
)
def test_a_model_too_deep_for_the_images_is_refused(
    name: str, size: int, options: dict[str, object], layer: str
) -> None:
    with pytest.raises(UserError) as caught:
        build(name, (size, size, 1), 10, options, 0)
    assert f"model={name} is too deep for images of {size}x{size}" in str(caught.value)
    assert layer in str(caught.value)
    assert ("strides=1" in str(caught.value)) == ("strides" in MODEL_OPTIONS[name])


@pytest.mark.parametrize(("name", "depth"), [("vgg", 12), ("resnet", 21)])
def test_a_depth_that_the_paper_has_not_is_refused(name: str, depth: int) -> None:
    with pytest.raises(UserError, match=f"found depth={depth}"):
        build(name, (32, 32, 3), 10, {"depth": depth}, 0)


def test_params_yaml_names_the_models_that_there_are_and_what_each_takes() -> None:
    assert set(get_args(ModelParams.model_fields["model"].annotation)) == set(FAMILIES)
    taken = {name: [*inspect.signature(layers).parameters][2:] for name, layers in FAMILIES.items()}
    assert {name: set(options) for name, options in MODEL_OPTIONS.items()} == {
        name: set(options) for name, options in taken.items()
    }
    assert {"model"}.union(*taken.values()) == set(ModelParams.model_fields)


def test_both_ways_through_a_block_of_resnet_that_halves_see_the_same_pixel() -> None:
    model = build("resnet", (8, 8, 1), 2, {"depth": 8}, 0)
    x = np.zeros((1, 8, 8, 16), np.float32)
    x[0, 4, 4] = 1
    convolution, padding = (model.get_layer(f"stage2_block1_conv1{name}") for name in ("", "_padding"))
    middle = np.zeros((3, 3, 16, 32), np.float32)
    middle[1, 1] = 1
    convolution.set_weights([middle])
    convolved = convolution(padding(x)).numpy()
    kept = model.get_layer("stage2_block1_shortcut")(x).numpy()
    np.testing.assert_array_equal(convolved[..., 0] > 0, kept[..., 0] > 0)
    assert kept.any()
