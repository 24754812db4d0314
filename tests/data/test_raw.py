from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reprocnn.artifacts.dataset import DatasetCard
from reprocnn.artifacts.split import read_split
from reprocnn.data.raw import RawData, card, write_splits
from reprocnn.errors import UserError


def _data(labels: list[int], is_test: list[bool]) -> RawData:
    n = len(labels)
    images = np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2, 1)
    chunks = [images[:3], images[3:]]
    return RawData(["a", "b"], np.array(labels), np.array(is_test), (2, 2, 1), chunks)


def test_images_and_labels_are_written_to_their_split_in_order(tmp_path: Path) -> None:
    data = _data([0, 1, 0, 1, 1], [False, True, False, False, True])
    write_splits(data, tmp_path / "train", tmp_path / "test")
    images, labels = read_split(tmp_path / "train")
    assert labels.tolist() == [0, 0, 1]
    assert images[:, 0, 0, 0].tolist() == [0, 8, 12]
    images, labels = read_split(tmp_path / "test")
    assert labels.tolist() == [1, 1]
    assert images[:, 0, 0, 0].tolist() == [4, 16]
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert card(data, "mine") == DatasetCard("mine", ("a", "b"), (2, 2, 1), n_train=3, n_test=2)


def test_nothing_is_written_if_reading_the_images_fails(tmp_path: Path) -> None:
    data = _data([0, 1], [False, False])
    broken = RawData(data.class_names, data.labels, data.is_test, data.image_shape, _fail_after_one_chunk())
    with pytest.raises(RuntimeError):
        write_splits(broken, tmp_path / "train", tmp_path / "test")
    assert not list(tmp_path.iterdir())


def _fail_after_one_chunk() -> Iterator[np.ndarray]:
    yield np.zeros((1, 2, 2, 1), np.uint8)
    raise RuntimeError


def test_the_error_names_a_class_without_training_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training images of every class, found none of class 'b'"):
        write_splits(_data([0, 1], [False, True]), tmp_path / "train", tmp_path / "test")
