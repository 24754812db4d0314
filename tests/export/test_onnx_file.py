from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tf2onnx.graph import Graph

from reprocnn.artifacts.statistics import Normalization
from reprocnn.backend import keras
from reprocnn.catalog import MODELS
from reprocnn.errors import UserError
from reprocnn.export import difference, onnx_file
from reprocnn.export.onnx_file import export_onnx
from reprocnn.inference.classifier import Classifier
from reprocnn.inference.info import ModelInfo
from reprocnn.models.build import build
from reprocnn.params import ModelParams

Shape = tuple[int, int, int]


def _model(name: str, shape: Shape, **options: object) -> keras.Model:
    """A model of raw pixels with random weights, also where new models have zeros and ones."""
    channels = shape[2]
    normalization = Normalization("standardize", (0.5, 0.4, 0.3)[:channels], (0.25, 0.2, 0.3)[:channels])
    model = build(ModelParams(model=name, **options), shape, 3, 0, normalization)
    random = np.random.default_rng(0)
    weights = [w if w.ndim > 1 else np.abs(w + random.normal(0, 0.2, w.shape)) + 0.1 for w in model.get_weights()]
    model.set_weights(weights)
    return model


def _info(shape: Shape) -> ModelInfo:
    return ModelInfo("pets", "some", ("cat", "dog", "猫"), shape, None, "0" * 32)


def _images(shape: Shape, n: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(0).integers(0, 256, (n, *shape)).astype(np.float32)


def _export(path: Path, model: keras.Model) -> float:
    shape = model.input_shape[1:]
    images = _images(shape)
    return export_onnx(path, model, _info(shape), [images], difference.predictions(model, [images]), threads=1)


@pytest.fixture
def mlp() -> keras.Model:
    return _model("mlp", (4, 4, 1))


@pytest.mark.parametrize(("name", "options"), [("speednet", {"width": 4}), ("alexnet", {})])
def test_two_exports_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, object]
) -> None:
    """Also where the converter goes through its nodes in another order, as it does now and then."""
    _export(tmp_path / "a.onnx", _model(name, (8, 8, 1), **options))
    method, random = "extract_sub_graph_nodes", np.random.default_rng(0)
    nodes = getattr(Graph, method)
    monkeypatch.setattr(Graph, method, lambda *arguments, **more: random.permutation(nodes(*arguments, **more)))
    for number in range(3):
        _export(tmp_path / f"{number}.onnx", _model(name, (8, 8, 1), **options))
        assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / f"{number}.onnx").read_bytes()


def test_input_output_and_metadata_have_fixed_names(tmp_path: Path, mlp: keras.Model) -> None:
    _export(tmp_path / "m.onnx", mlp)
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=True)
    sides = {side[0].name: side[0].type.tensor_type for side in (model.graph.input, model.graph.output)}
    shapes = {name: [d.dim_param or d.dim_value for d in kind.shape.dim] for name, kind in sides.items()}
    assert shapes == {"image": ["N", 4, 4, 1], "probabilities": ["N", 3]}
    assert {kind.elem_type for kind in sides.values()} == {onnx.TensorProto.FLOAT}
    assert [opset.version for opset in model.opset_import if not opset.domain] == [17]
    assert Classifier(tmp_path / "m.onnx").info == _info((4, 4, 1))


@pytest.mark.parametrize("n", [0, 1, 7, 65])
def test_the_file_classifies_any_number_of_images(tmp_path: Path, mlp: keras.Model, n: int) -> None:
    _export(tmp_path / "m.onnx", mlp)
    images = _images((4, 4, 1), n)
    probabilities = Classifier(tmp_path / "m.onnx").probabilities(images)
    assert (probabilities.shape, probabilities.dtype) == ((n, 3), np.float32)
    np.testing.assert_allclose(probabilities, mlp(images).numpy(), atol=1e-5)


def test_a_wrong_conversion_is_refused_and_the_earlier_file_stays(
    tmp_path: Path, mlp: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = onnx_file._convert
    other = _model("mlp", (4, 4, 1))
    other.set_weights([1.01 * w for w in mlp.get_weights()])
    monkeypatch.setattr(onnx_file, "_convert", lambda _, info: convert(other, info))
    (tmp_path / "m.onnx").write_text("earlier")
    with pytest.raises(UserError, match=r"m\.onnx: expected the probabilities of the Keras model, found .* 0\.\d+"):
        _export(tmp_path / "m.onnx", mlp)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("m.onnx", "earlier")]


def test_probabilities_that_are_nan_are_refused(tmp_path: Path, mlp: keras.Model) -> None:
    images = _images((4, 4, 1))
    expected = difference.predictions(mlp, [images])
    found = difference.largest_difference(expected, lambda x: np.full((len(x), 3), np.nan, np.float32), [images])
    with pytest.raises(UserError, match="differences of up to inf"):
        difference.check(tmp_path, found)


def _shifted(model: keras.Model, offset: np.float32, images: NDArray[np.float32]) -> NDArray[np.float32]:
    return model(images).numpy() + offset


def test_the_difference_is_rounded_up_to_a_power_of_ten(mlp: keras.Model) -> None:
    batches = [_images((4, 4, 1)), _images((4, 4, 1), 2)]
    expected = difference.predictions(mlp, batches)
    for shift, rounded in ((0.0, 1e-7), (3e-3, 1e-2), (0.5, 1.0)):
        found = difference.largest_difference(expected, partial(_shifted, mlp, np.float32(shift)), batches)
        assert found == rounded


SMALL: dict[str, tuple[Shape, dict[str, object]]] = {
    "mlp": ((4, 4, 1), {}),
    "simple_cnn": ((8, 8, 1), {"padding": "same"}),
    "deep_cnn": ((8, 8, 3), {}),
    "lenet": ((16, 16, 1), {}),
    "resnet": ((8, 8, 3), {"depth": 8}),
    "speednet": ((8, 8, 3), {"width": 4}),
}
"""Models that export fast at this size; the others are below, marked slow."""
LARGE: dict[str, tuple[Shape, dict[str, object]]] = {
    "alexnet": ((8, 8, 3), {}),
    "vgg": ((16, 16, 3), {"depth": 11}),
    "inception": ((16, 16, 3), {}),
}


def test_every_model_is_exported() -> None:
    assert SMALL.keys() | LARGE.keys() == MODELS.keys()


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_a_model_of_the_catalog_gives_the_probabilities_of_the_keras_model(tmp_path: Path, name: str) -> None:
    shape, options = (SMALL | LARGE)[name]
    assert _export(tmp_path / "m.onnx", _model(name, shape, **options)) <= difference.MAX_DIFFERENCE


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deep_cnn", {"pooling": "average", "batch_norm": True}),
        ("deep_cnn", {"strides": 2, "dropout": 0.5}),
        ("simple_cnn", {"padding": "valid", "batch_norm": True}),
        ("simple_cnn", {"padding": "same", "strides": 2, "pooling": "average"}),
    ],
)
def test_an_option_of_a_model_does_not_change_its_probabilities(
    tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    assert _export(tmp_path / "m.onnx", _model(name, (19, 17, 1), **options)) <= difference.MAX_DIFFERENCE
