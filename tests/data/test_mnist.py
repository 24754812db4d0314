import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from reprocnn.data import mnist
from reprocnn.run.downloads import places


def _idx(array: np.ndarray) -> bytes:
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_load_reads_the_four_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.arange(5 * 28 * 28).reshape(5, 28, 28) % 256
    made = {
        "train-images-idx3-ubyte.gz": _idx(images[:3]),
        "train-labels-idx1-ubyte.gz": _idx(np.array([0, 9, 4])),
        "t10k-images-idx3-ubyte.gz": _idx(images[3:]),
        "t10k-labels-idx1-ubyte.gz": _idx(np.array([1, 2])),
    }
    for file, content in made.items():
        (tmp_path / file).write_bytes(content)
    hashes = {f: ("0" * 64, hashlib.sha256(gzip.decompress(c)).hexdigest()) for f, c in made.items()}
    monkeypatch.setitem(mnist._HASHES, name, hashes)
    monkeypatch.setenv("REPROCNN_MIRROR", str(tmp_path))
    data = mnist.load(name, places())
    read = np.concatenate(list(data.chunks))
    assert (read.shape, read.dtype) == ((5, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(read[..., 0], images.astype(np.uint8))
    assert data.labels.tolist() == [0, 9, 4, 1, 2]
    assert data.is_test.tolist() == [False, False, False, True, True]
    assert len(data.class_names) == 10


def test_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x00"))
    with pytest.raises(ValueError, match="idx file of unsigned bytes"):
        mnist.read_idx(tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05abc"))
    with pytest.raises(ValueError, match="Expected 5 values. Received: 3"):
        mnist.read_idx(tmp_path / "a.gz")


def test_every_file_has_a_published_and_a_content_hash() -> None:
    for hashes in mnist._HASHES.values():
        assert len(hashes) == 4
        assert all(len(h) == 64 for pair in hashes.values() for h in pair)


@pytest.mark.network
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files_are_where_they_should_be(name: str) -> None:
    assert len(mnist.load(name, places()).labels) == 70_000
