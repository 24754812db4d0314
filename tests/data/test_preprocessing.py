from pathlib import Path

import numpy as np

from reprocnn.artifacts import split
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.split import Split, read_split
from reprocnn.data import preprocessing
from reprocnn.data.normalization import fit


def test_a_split_is_normalised_and_one_hot_for_any_chunk_size(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 3, 2)).astype(np.uint8)
    labels = np.arange(20) % 4
    indices = np.array([1, 2, 5, 11, 19])
    normalization = fit("unit", [], 2)
    for name, size in (("a", 2**20), ("b", 2 * 18 * 4)):
        monkeypatch.setattr(split, "CHUNK_BYTES", size)
        preprocessing.write_normalized(tmp_path / name, Split(images, labels), indices, normalization, n_classes=4)
    read, one_hot = read_split(tmp_path / "a")
    assert (read.dtype, one_hot.dtype) == (np.float32, np.float32)
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, images[indices].astype(np.float32) / np.float32(255))
    assert one_hot.argmax(axis=1).tolist() == [1, 2, 1, 3, 3]
    assert (one_hot.sum(axis=1) == 1).all()
    assert md5(tmp_path / "a" / "images.npy") == md5(tmp_path / "b" / "images.npy")


def test_the_statistics_use_only_the_given_indices() -> None:
    images = np.zeros((4, 1, 1, 1), np.uint8)
    images[2:] = 255
    assert preprocessing.fit_normalization(images, np.array([0, 1]), "standardize").mean == (0.0,)
    assert preprocessing.fit_normalization(images, np.array([2, 3]), "standardize").mean == (1.0,)
