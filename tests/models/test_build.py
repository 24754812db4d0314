import importlib
import inspect
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from reprocnn.artifacts.model import write_model
from reprocnn.artifacts.statistics import Normalization
from reprocnn.backend import keras
from reprocnn.catalog import MODELS
from reprocnn.errors import UserError
from reprocnn.models.build import build
from reprocnn.params import ModelParams


def _layers(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers[1:]]


def test_simple_cnn_is_the_teaching_texts_mnist_network() -> None:
    model = build(ModelParams(model="simple_cnn"), (28, 28, 1), 10, 0)
    assert _layers(model) == [
        *("Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dense"),
    ]
    assert model.count_params() == 320 + 18496 + 5 * 5 * 64 * 64 + 64 + 650


def test_deep_cnn_is_the_teaching_texts_cifar_network() -> None:
    model = build(ModelParams(model="deep_cnn"), (32, 32, 3), 10, 0)
    assert _layers(model) == [
        *("Conv2D", "Conv2D", "MaxPooling2D", "Conv2D", "Conv2D", "MaxPooling2D"),
        *("Flatten", "Dense", "Dropout", "Dense"),
    ]
    convolutions = 896 + 9248 + 18496 + 36928
    assert model.count_params() == convolutions + 8 * 8 * 64 * 512 + 512 + 5130
    assert model.get_layer("dropout").rate == 0.5


def test_mlp_is_the_teaching_texts_dense_network() -> None:
    model = build(ModelParams(model="mlp"), (28, 28, 1), 10, 0)
    assert _layers(model) == ["Flatten", "Dense", "Dense", "Dense"]
    assert model.count_params() == 784 * 128 + 128 + 128 * 64 + 64 + 650


@pytest.mark.parametrize(
    ("name", "shape", "options", "trained"),
    [
        ("lenet", (28, 28, 1), {}, 61_706),  # LeNet-5 whose second convolution is connected to all channels
        ("lenet", (32, 32, 1), {}, 61_706),
        ("resnet", (32, 32, 3), {"depth": 20}, 269_722),  # He et al., table 6: 0.27, 0.46, 0.66 and 0.85 million
        ("resnet", (32, 32, 3), {"depth": 32}, 464_154),
        ("resnet", (32, 32, 3), {"depth": 44}, 658_586),
        ("resnet", (32, 32, 3), {"depth": 56}, 853_018),
        ("inception", (28, 28, 3), {}, 1_649_402),  # Zhang et al., table 1
    ],
)
def test_a_model_has_as_many_parameters_as_in_the_paper(
    name: str, shape: tuple[int, int, int], options: dict[str, object], trained: int
) -> None:
    model = build(ModelParams(model=name, **options), shape, 10, 0)
    assert sum(v.shape.num_elements() for v in model.trainable_variables) == trained


def test_vgg_has_as_many_convolutions_as_in_the_paper() -> None:
    for depth, convolutions in ((11, 8), (13, 10), (16, 13), (19, 16)):
        model = build(ModelParams(model="vgg", depth=depth), (32, 32, 3), 10, 0)
        filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        assert len(filters) == convolutions == depth - 3
        assert (filters[0], filters[-1]) == (64, 512)


def test_speednet_has_the_given_width() -> None:
    for width in (8, 64):
        model = build(ModelParams(model="speednet", width=width), (32, 32, 3), 10, 0)
        filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        assert filters == [24, width, width, *[4 * width] * 4]
    assert model.get_layer("whitening").trainable is False


SIZES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (64, 64, 3)]
TOO_DEEP = {("simple_cnn", (8, 8, 1)), ("lenet", (8, 8, 1))}
"""Models that are too deep for these images unless padding=same."""


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", SIZES)
def test_a_model_gives_class_probabilities_for_images_of_every_size(name: str, shape: tuple[int, int, int]) -> None:
    options = {"padding": "same"} if (name, shape) in TOO_DEEP else {}
    model = build(ModelParams(model=name, **options), shape, 7, 0)
    probabilities = model(np.random.default_rng(0).random((2, *shape), dtype=np.float32)).numpy()
    assert probabilities.shape == (2, 7)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_layer_names_do_not_depend_on_earlier_models(name: str) -> None:
    first, second = (build(ModelParams(model=name, dropout=0.3), (32, 32, 3), 7, 0) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@pytest.mark.parametrize("name", MODELS)
def test_each_layer_has_its_own_seed(name: str) -> None:
    model, other = (build(ModelParams(model=name, dropout=rate), (16, 16, 3), 7, 5) for rate in (0.3, 0.0))
    weights, others = ({v.path: np.array(v) for v in m.weights} for m in (model, other))
    assert weights.keys() == others.keys()
    for path, value in weights.items():  # dropout does not change the random numbers of other layers
        np.testing.assert_array_equal(value, others[path])
    seeds = re.findall(r'"seed": (\w+)', model.to_json())
    assert "null" not in seeds
    assert len(set(seeds)) == len(seeds) > 3
    changed = build(ModelParams(model=name), (16, 16, 3), 7, 6)
    kernels = [v.path for v in model.weights if v.path.endswith("kernel")]
    assert not any(np.array_equal(weights[v.path], v) for v in changed.weights if v.path in kernels)


@pytest.mark.parametrize("name", MODELS)
def test_every_option_of_a_model_changes_it(name: str) -> None:
    shape = (32, 32, 3)
    values: dict[str, list[object]] = {
        "padding": ["same", "valid"],
        "strides": [1, 2],
        "pooling": ["max", "average"],
        "dropout": [0.0, 0.3],
        "batch_norm": [False, True],
        "depth": [11, 13] if name == "vgg" else [8, 14],
        "width": [4, 8],
    }
    for option in MODELS[name].options:
        both = []
        for value in values[option]:
            small = {"depth": 11} if name == "vgg" else {}
            with suppress(UserError):  # vgg, with valid padding
                both.append(build(ModelParams(model=name, **small | {option: value}), shape, 7, 0).to_json())
        assert both[0] != both[-1] or len(both) == 1, option


def test_options_change_the_layers() -> None:
    options = {"padding": "same", "strides": 2, "pooling": "average", "dropout": 0.25}
    model = build(ModelParams(model="simple_cnn", **options), (28, 28, 1), 10, 0)
    convolution = model.get_layer("block1_conv1")
    assert (convolution.padding, convolution.strides) == ("same", (2, 2))
    assert isinstance(model.get_layer("block2_pool"), keras.layers.AveragePooling2D)
    assert model.get_layer("dropout").rate == 0.25
    without = build(ModelParams(model="deep_cnn", dropout=0.0), (16, 16, 1), 2, 0)
    assert "dropout" not in [layer.name for layer in without.layers]


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
        build(ModelParams(model=name, **options), (size, size, 1), 10, 0)
    assert f"model={name} is too deep for images of {size}x{size}" in str(caught.value)
    assert layer in str(caught.value)
    assert ("strides=1" in str(caught.value)) == ("strides" in MODELS[name].options)


@pytest.mark.parametrize(("name", "depth"), [("vgg", 12), ("resnet", 21)])
def test_a_depth_that_is_not_in_the_paper_is_refused(name: str, depth: int) -> None:
    with pytest.raises(UserError, match=f"found depth={depth}"):
        build(ModelParams(model=name, depth=depth), (32, 32, 3), 10, 0)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_options_of_its_catalog_row(name: str) -> None:
    network = importlib.import_module(f"reprocnn.models.{name}").network
    x, n_classes, *options = inspect.signature(network).parameters.values()
    assert (x.name, n_classes.name) == ("x", "n_classes")
    assert {option.name for option in options} == set(MODELS[name].options)
    for option in options:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        ModelParams(model=name, **{option.name: option.default})  # params.yaml allows its default


def test_the_model_of_raw_pixels_has_the_same_weights_and_predictions() -> None:
    random = np.random.default_rng(0)
    params = ModelParams(model="resnet", depth=8)
    pixels = random.integers(0, 256, (4, 12, 12, 3)).astype(np.uint8)
    for mean, std in (((0.0,) * 3, (1.0,) * 3), ((0.5, 0.4, 0.3), (0.25, 0.2, 0.3))):
        model = build(params, (12, 12, 3), 5, 0)
        model.set_weights([random.normal(size=w.shape) ** 2 for w in model.get_weights()])
        served = build(params, (12, 12, 3), 5, 0, Normalization("standardize", mean, std))
        served.set_weights(model.get_weights())
        expected = model((pixels / 255 - mean) / np.array(std))
        for raw in (pixels, pixels.astype(np.float32)):
            np.testing.assert_allclose(served.predict_on_batch(raw), expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_layer_normalises_and_is_a_standard_keras_layer(channels: int) -> None:
    shape, params = (8, 8, channels), ModelParams(model="mlp")
    unit = build(params, shape, 2, 0, Normalization("unit", (0.0,) * channels, (1.0,) * channels))
    image, layer, *rest = unit.layers
    assert (image.name, layer.name, type(layer)) == ("image", "normalization", keras.layers.Rescaling)
    assert (layer.scale, layer.offset) == (1 / 255, 0)
    assert [x.name for x in rest] == [x.name for x in build(params, shape, 2, 0).layers[1:]]
    assert unit.name == "mlp"
    means = (0.5, 0.25, 0.125)[:channels]
    layer = build(params, shape, 2, 0, Normalization("standardize", means, (0.5,) * channels)).layers[1]
    np.testing.assert_allclose(layer.scale, [2 / 255] * channels if channels > 1 else 2 / 255)
    np.testing.assert_allclose(layer.offset, [-2 * mean for mean in means] if channels > 1 else -1)


def test_a_model_of_raw_pixels_is_saved_as_the_same_bytes_and_loads_with_what_it_predicts(tmp_path: Path) -> None:
    params, shape = ModelParams(model="speednet", width=8), (12, 12, 3)
    normalization = Normalization("standardize", (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    for name in ("a.keras", "b.keras"):
        model = build(params, shape, 5, 0, normalization)
        write_model(tmp_path / name, model)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    pixels = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.uint8)
    loaded = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_allclose(loaded.predict_on_batch(pixels), model.predict_on_batch(pixels), rtol=1e-5)


def test_convolution_and_shortcut_of_a_strided_resnet_block_use_the_same_pixels() -> None:
    model = build(ModelParams(model="resnet", depth=8), (8, 8, 1), 2, 0)
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
