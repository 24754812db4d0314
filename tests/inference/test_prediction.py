import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reprocnn.inference import pictures, prediction
from reprocnn.inference.classifier import BATCH, Classifier
from reprocnn.inference.info import ModelInfo
from reprocnn.inference.prediction import Prediction, Unreadable, predict_arrays, predict_pictures
from tiny_model import COLOURS, SIZE, write_tiny_model


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return Classifier(write_tiny_model(tmp_path / "model.onnx"), threads=1)


def _png(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (9, 7), COLOURS[colour]).save(file, "PNG")
    return file.getvalue()


PNGS = {colour: _png(colour) for colour in COLOURS}


def test_answers_are_in_the_order_of_the_pictures(classifier: Classifier) -> None:
    colours = [list(COLOURS)[number % 3] for number in range(5 * BATCH + 1)]
    pictures = ((f"{number}.png", lambda colour=colour: PNGS[colour]) for number, colour in enumerate(colours))
    answers = list(predict_pictures(classifier, pictures, 2))
    assert [answer.file for answer in answers] == [f"{number}.png" for number in range(len(colours))]
    assert [answer.class_name for answer in answers if isinstance(answer, Prediction)] == colours


def test_a_prediction_has_the_most_probable_classes_first(classifier: Classifier) -> None:
    image = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    image[..., 1:] = 100, 50
    (answer,) = predict_arrays(classifier, image, 2)
    assert [name for name, _ in answer.top] == ["green", "blue"]
    assert (answer.class_name, answer.confidence) == answer.top[0]
    (equal,) = predict_arrays(classifier, np.zeros_like(image), 5)
    assert [name for name, _ in equal.top] == ["red", "green", "blue"]  # of equal ones the first
    assert sum(probability for _, probability in equal.top) == pytest.approx(1)


def test_an_unreadable_file_is_an_answer_between_the_others(classifier: Classifier, tmp_path: Path) -> None:
    pictures = [
        ("a.png", lambda: PNGS["red"]),
        ("b.png", lambda: b"no image"),
        ("c.png", (tmp_path / "missing.png").read_bytes),
        ("d.nef", lambda: PNGS["red"]),
        ("e", (tmp_path).read_bytes),
        ("f.png", lambda: PNGS["blue"]),
    ]
    first, *middle, last = predict_pictures(classifier, pictures, 1)
    assert isinstance(first, Prediction)
    assert isinstance(last, Prediction)
    assert [(a.file, a.cause.partition(":")[0]) for a in middle if isinstance(a, Unreadable)] == [
        ("b.png", "not an image that Pillow can read"),
        ("c.png", "no such file"),
        ("d.nef", "camera raw file"),
        ("e", "disk error"),
    ]


def test_large_files_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "_BATCH_BYTES", 25)
    batches = list(prediction._batches((f"{number}.png", lambda: b"ten bytes.") for number in range(7)))
    assert [len(batch) for batch in batches] == [3, 3, 1]


def test_files_are_not_read_far_ahead_of_the_answers(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large archive must not fill the memory."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    read, lock = [0], threading.Lock()

    def content() -> bytes:
        with lock:
            read[0] += 1
        return PNGS["red"]

    answers = predict_pictures(classifier, (("a.png", content) for _ in range(20 * BATCH)), 1)
    next(answers)
    assert read[0] <= 6 * BATCH


def test_after_ctrl_c_no_thread_begins_another_picture(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that, the command would first decode all the pictures that were read: seconds for large photographs."""
    content = BytesIO()
    Image.new("RGB", (1500, 1500)).save(content, "PNG")
    began, decoded = threading.Event(), []

    def read_picture(info: ModelInfo, name: str, read: prediction.Read) -> np.ndarray:
        began.set()
        decoded.append(name)
        return pictures.read_picture(info, name, read)

    def interrupted() -> Iterator[tuple[str, prediction.Read]]:
        for number in range(2 * BATCH):
            yield f"{number}.png", content.getvalue
        assert began.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "read_picture", read_picture)
    with pytest.raises(KeyboardInterrupt):
        list(predict_pictures(classifier, interrupted(), 1))
    assert len(decoded) < BATCH
