import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from checkouts import ROOT
from reprocnn.inference.classifier import BATCH, Classifier
from reprocnn.inference.info import from_metadata
from tiny_model import COLOURS, INFO, SIZE, write_tiny_model


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return Classifier(write_tiny_model(tmp_path / "model.onnx"))


def test_the_metadata_says_what_the_model_takes_and_gives(classifier: Classifier) -> None:
    assert classifier.info == INFO
    assert classifier.class_names == ("red", "green", "blue")
    assert classifier.info.color_mode == "rgb"


@pytest.mark.parametrize("white", [None, 4095, 1.0])
def test_metadata_are_text_and_read_back_equal(white: float | None) -> None:
    info = replace(INFO, class_names=('ä, "b"', "猫"), image_shape=(5, 7, 1), white=white)
    metadata = info.to_metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert from_metadata(metadata) == info


def test_metadata_of_an_older_version_have_no_temperature() -> None:
    confidence = {"temperature": 1.25, "threshold_99": 0.8, "conformal_quantile_90": 0.05}
    info = replace(INFO, **confidence)
    metadata = info.to_metadata()
    assert from_metadata(metadata) == info
    older = {name: text for name, text in metadata.items() if name not in confidence}
    assert from_metadata(older) == replace(info, **dict.fromkeys(confidence))


@pytest.mark.parametrize(("key", "value"), [("class_names", None), ("image_size", "big"), ("color_mode", "cmyk")])
def test_metadata_of_another_project_are_refused(key: str, value: str | None) -> None:
    metadata = INFO.to_metadata() | {key: value}
    with pytest.raises(ValueError, match="no ONNX file of this project"):
        from_metadata({name: text for name, text in metadata.items() if text is not None})


@pytest.mark.parametrize("n", [0, 1, BATCH, BATCH + 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_any_number_of_images_of_any_number_type(classifier: Classifier, n: int, dtype: type) -> None:
    images: np.ndarray = np.zeros((n, SIZE, SIZE, 3), dtype)
    images[...] = COLOURS["green"]
    probabilities = classifier.probabilities(images)
    assert (probabilities.shape, probabilities.dtype) == ((n, 3), np.float32)
    np.testing.assert_allclose(probabilities, np.tile(_softmax([0, 255 / 50, 0]), (n, 1)), rtol=1e-5)


@pytest.mark.parametrize("n", [0, 1, BATCH + 1])
def test_a_calibrated_model_divides_its_logits_by_the_temperature(classifier: Classifier, n: int) -> None:
    images: np.ndarray = np.zeros((n, SIZE, SIZE, 3), np.uint8)
    images[...] = COLOURS["green"]
    calibrated = classifier.calibrated()
    probabilities = calibrated.probabilities(images)
    assert (probabilities.shape, probabilities.dtype) == ((n, 3), np.float32)
    np.testing.assert_allclose(probabilities, np.tile(_softmax([0, 255 / 50 / 2, 0]), (n, 1)), rtol=1e-5)
    np.testing.assert_array_equal(calibrated.calibrated().probabilities(images), probabilities)
    assert n == 0 or classifier.probabilities(images).max() > probabilities.max()  # the first is not changed


def test_a_model_of_an_older_version_is_not_calibrated(tmp_path: Path) -> None:
    older = Classifier(write_tiny_model(tmp_path / "old.onnx", info=replace(INFO, temperature=None)))
    with pytest.raises(ValueError, match="the model has no temperature: an older version"):
        older.calibrated()


def _softmax(logits: list[float]) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def test_images_of_another_shape_are_refused(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match=r"expected images of shape \(n, 4, 4, 3\), found \(2, 4, 4, 1\)"):
        classifier.probabilities(np.zeros((2, 4, 4, 1)))


@pytest.mark.parametrize(
    "change", [{"image_shape": (8, 8, 3)}, {"class_names": ("red", "green")}, {"class_names": ("a", "b", "c", "d")}]
)
def test_metadata_that_contradict_the_model_are_refused(tmp_path: Path, change: dict[str, tuple[object, ...]]) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, replace(INFO, **change).to_metadata())
    onnx.save(model, path)
    with pytest.raises(ValueError, match="its metadata says"):
        Classifier(path)


def test_without_enough_memory_the_model_raises_a_memory_error(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Fail("AllocateRawInternal(size_t) Failed to allocate memory for requested buffer of size 8192000")

    monkeypatch.setattr(classifier, "_session", SimpleNamespace(run=fail))
    with pytest.raises(MemoryError):
        classifier.probabilities(np.zeros((1, SIZE, SIZE, 3)))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x08\x12\x00"])
def test_a_file_that_is_no_onnx_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ValueError, match="not a valid ONNX file"):
        Classifier(tmp_path / "model.onnx")


def test_a_file_that_does_not_exist_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Classifier(tmp_path / "model.onnx")


def test_onnx_runtime_sends_no_telemetry(tmp_path: Path) -> None:
    """With telemetry, it writes an ID of the machine and a database to the user's cache."""
    path = write_tiny_model(tmp_path / "model.onnx")
    code = (
        "import numpy as np; from pathlib import Path; from reprocnn.inference.classifier import Classifier\n"
        f"Classifier(Path({str(path)!r})).probabilities(np.zeros((1, 4, 4, 3)))"
    )
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    own = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=own | home | {"PYTHONPATH": str(ROOT / "src")}, check=True)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
