"""The model that is served, and a source of models that fails now and then. Needs the packages of the extra `serve`."""

from pathlib import Path

import numpy as np
import pytest

from reprocnn.inference.classifier import Classifier
from reprocnn.serving.models import File, Model, Served, Version
from tiny_model import tiny_info, write_tiny_model

pytestmark = pytest.mark.serve


class Made:
    """A source whose model, or error, the test sets."""

    def __init__(self, path: Path) -> None:
        self._classifier = Classifier(path)
        self.identity: object = 1
        self.error: Exception | None = None
        self.asked = 0

    def current(self) -> object:
        self.asked += 1
        if isinstance(self.identity, Exception):
            raise self.identity
        return self.identity

    def load(self) -> Model:
        if self.error:
            raise self.error
        return Model(self._classifier, Version(f"hash {self.identity}", "colours", "linear"))


@pytest.fixture
def source(tmp_path: Path) -> Made:
    return Made(write_tiny_model(tmp_path / "model.onnx"))


def test_the_same_model_is_loaded_once(source: Made) -> None:
    served = Served(source)
    first = served.model
    served.refresh()
    assert served.model is first
    assert served.loads == {"loaded": 1, "failed": 0}


def test_a_source_that_fails_is_asked_again_and_its_error_logged_once(
    source: Made, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(source)
    source.identity = ConnectionError("the registry does not\nanswer")
    for _ in range(3):
        served.refresh()
    source.identity, source.error = 2, OSError("half a download")
    for _ in range(3):
        served.refresh()
    assert served.model.version.hash == "hash 1"
    assert [r.message.partition("stays: ")[2] for r in caplog.records] == [
        "the registry does not answer",
        "half a download",
    ]
    source.error = None
    served.refresh()
    assert served.model.version.hash == "hash 2"
    assert served.loads == {"loaded": 2, "failed": 1}
    assert [r.message.partition(", the old")[0] for r in caplog.records] == [
        "can't look for a new model",
        "the new model can't be served",
    ]


def test_the_same_error_is_logged_again_after_an_end_of_the_trouble(
    source: Made, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(source)
    for identity in (ConnectionError("no answer"), 1, ConnectionError("no answer")):
        source.identity = identity
        served.refresh()
    assert len(caplog.records) == 2


def test_a_model_whose_images_are_not_square_is_not_served(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    served = Served(File(path, None, lambda _: None))
    write_tiny_model(path, info=tiny_info(size=(4, 5)))
    served.refresh()
    assert (served.model.classifier.info.image_shape, served.loads["failed"]) == ((4, 4, 3), 1)


def test_a_file_that_is_away_for_a_while_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """DVC removes the outputs of a stage before it runs, and may bring the same ones back."""
    caplog.set_level("INFO")
    path = write_tiny_model(tmp_path / "model.onnx")
    served = Served(File(path, None, lambda _: None))
    path.unlink()
    served.refresh()
    write_tiny_model(path)
    served.refresh()
    assert (served.loads, caplog.messages) == ({"loaded": 1, "failed": 0}, [])
    with pytest.raises(FileNotFoundError):
        File(tmp_path / "none.onnx", None, lambda _: None).current()


def test_a_new_model_is_tried_before_it_is_served(source: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(source)

    def fail(*_: object) -> None:
        raise RuntimeError("no kernel for this operation")

    monkeypatch.setattr(source._classifier, "probabilities", fail)
    source.identity = 2
    served.refresh()
    assert (served.model.version.hash, served.loads["failed"]) == ("hash 1", 1)


def test_the_first_model_has_to_work(source: Made) -> None:
    source.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        Served(source)


def test_a_file_that_is_replaced_while_it_is_read_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    file = File(path, None, lambda md5: f"made {md5[:2]}")
    model = file.load()
    assert model.version.experiment == f"made {model.version.hash[:2]}"
    assert np.asarray(model.classifier.probabilities(np.zeros((1, 4, 4, 3)))).shape == (1, 3)
    seen = iter([1, 2])
    monkeypatch.setattr(file, "current", lambda: next(seen))
    with pytest.raises(OSError, match="was replaced while it was read"):
        file.load()
