import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from checkouts import ROOT
from reprocnn.artifacts.statistics import Normalization
from reprocnn.errors import UserError
from reprocnn.export import formats, measure
from reprocnn.export.difference import MAX_DIFFERENCE, predictions
from reprocnn.export.formats import FORMATS, Source, check_package
from reprocnn.export.onnx_file import export_onnx
from reprocnn.inference.classifier import Classifier
from reprocnn.inference.info import ModelInfo
from reprocnn.models.build import build
from reprocnn.params import ModelParams

SHAPE = (8, 8, 3)
MODELS = {"mlp": {}, "deep_cnn": {"batch_norm": True}, "resnet": {"depth": 8}, "speednet": {"width": 4}}
KERAS_FORMATS = [
    "tf_saved_model",
    *(pytest.param(name, marks=pytest.mark.formats) for name in ("litert", "openvino")),
]


def _source(folder: Path, name: str = "deep_cnn") -> Source:
    """A model of raw pixels with its ONNX file."""
    normalization = Normalization("standardize", (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    model = build(ModelParams(model=name, **MODELS[name]), SHAPE, 3, 0, normalization)
    images = np.random.default_rng(0).integers(0, 256, (70, *SHAPE)).astype(np.float32)
    info = ModelInfo("pets", name, ("cat", "dog", "猫"), SHAPE, 1023.0, "0" * 32)
    export_onnx(folder / "m.onnx", model, info, [images], predictions(model, [images]))
    return Source(model, folder / "m.onnx", images)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", KERAS_FORMATS)
def test_a_format_gives_the_probabilities_of_the_keras_model_and_prints_nothing(
    tmp_path: Path, name: str, model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, chosen, written = _source(tmp_path, model), FORMATS[name], tmp_path / "written"
    if chosen.contents:
        written.mkdir()
    chosen.write(written, source)
    predict = chosen.load(written)
    for n in (1, 5, 65, 2):
        found = predict(source.images[:n])
        assert (found.shape, found.dtype) == ((n, 3), np.float32)
        assert measure.largest_difference(found, source.model(source.images[:n]).numpy()) <= MAX_DIFFERENCE
    if chosen.contents:
        assert {file.name for file in written.iterdir()} <= chosen.contents
    assert capfd.readouterr() == ("", "")


@pytest.mark.formats
def test_openvino_sends_no_usage_data(tmp_path: Path) -> None:
    FORMATS["openvino"].write(tmp_path, _source(tmp_path))
    telemetry = sys.modules["openvino.tools.ovc.telemetry_utils"].tm
    assert telemetry.__name__ == "openvino.tools.ovc.telemetry_stub"


def test_int8_keeps_the_metadata_and_most_of_the_accuracy(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = _source(tmp_path)
    before = source.onnx.read_bytes()
    FORMATS["onnx_int8"].write(tmp_path / "int8.onnx", source)
    original, small = Classifier(source.onnx), Classifier(tmp_path / "int8.onnx")
    assert small.info == original.info
    for n in (1, 70):
        probabilities = small.probabilities(source.images[:n])
        assert (probabilities.shape, probabilities.dtype) == ((n, 3), np.float32)
        np.testing.assert_allclose(probabilities, original.probabilities(source.images[:n]), atol=0.05)
    assert measure.size(tmp_path / "int8.onnx") < measure.size(source.onnx) / 3
    assert source.onnx.read_bytes() == before
    assert capfd.readouterr() == ("", "")


def test_int8_has_weights_of_8_bits_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        FORMATS["onnx_int8"].write(tmp_path / name, _source(tmp_path))
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    graph = onnx.load(tmp_path / "a.onnx").graph
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    kernels = [array for array in weights if array.ndim in {2, 4}]
    assert len(kernels) == 6
    for kernel in kernels:
        assert kernel.dtype == np.int8
        assert np.abs(kernel).max() <= 64  # 7 bits
    (softmax,) = (node for node in graph.node if node.op_type == "Softmax")
    assert softmax.output[0] == graph.output[0].name == "probabilities"


@pytest.mark.parametrize("name", ["litert", "openvino"])
def test_a_missing_package_is_reported_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = FORMATS[name].package
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [requirement.split(">=")[0] for requirement in extras[name]] == [package]
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=f"{name} needs the package {package}.*\n.*make setup EXTRA=--extra={name}$"):
        check_package(name)


@pytest.mark.parametrize("name", ["tf_saved_model", "onnx_int8"])
def test_the_other_formats_need_no_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    check_package(name)


def test_the_list_of_formats_imports_no_library_that_takes_seconds() -> None:
    code = "import sys, reprocnn.export.formats; print(*{'tensorflow', 'keras', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", text=True, capture_output=True, check=True)
    assert done.stdout == "\n"


def test_size_counts_the_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"12")
    (tmp_path / "sub/b").write_bytes(b"345")
    assert (measure.size(tmp_path / "a"), measure.size(tmp_path)) == (2, 5)


def test_latency_is_the_median_time_per_image_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[NDArray[np.float32]] = []
    now = iter(range(1000))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(now))  # each run takes a second
    images = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1)

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        batches.append(images.ravel())
        return images

    found = measure.latency(predict, images, runs=6)
    assert found == (1000, 1000 / 64)
    assert [len(batch) for batch in batches] == [1] * 9 + [64] * 6
    np.testing.assert_array_equal(batches[-1], np.resize([0, 1, 2], 64))


def test_a_nan_is_an_infinite_difference() -> None:
    expected = np.full((2, 3), 1 / 3, np.float32)
    assert measure.largest_difference(np.full((2, 3), np.nan, np.float32), expected) == np.inf
    assert measure.largest_difference(expected + np.eye(2, 3, dtype=np.float32) / 2, expected) == 0.5
