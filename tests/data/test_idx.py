import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from reprocnn.data import fashion_mnist, idx, mnist
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places


def _idx(array: np.ndarray) -> bytes:
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + shape + array.astype(np.uint8).tobytes())


DATA_SETS = [mnist, fashion_mnist]


@pytest.mark.parametrize("data_set", DATA_SETS)
def test_load_reads_the_four_files(data_set: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr(data_set, "FILES", replace(data_set.FILES, hashes=hashes))
    monkeypatch.setenv("REPROCNN_MIRROR", str(tmp_path))
    data = data_set.load(DownloadParams(), places())
    read = data.images
    assert (read.shape, read.dtype) == ((5, 28, 28, 1), np.uint8)
    np.testing.assert_array_equal(read[..., 0], images.astype(np.uint8))
    assert data.labels.tolist() == [0, 9, 4, 1, 2]
    assert data.given == ["train"] * 3 + ["test"] * 2
    assert data.files[2:] == ["train-images#2", "t10k-images#0", "t10k-images#1"]
    assert len(data.class_names) == 10


def test_a_file_of_another_type_or_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x00"))
    with pytest.raises(ValueError, match="idx file of unsigned bytes"):
        idx.read_idx(tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05abc"))
    with pytest.raises(ValueError, match="Expected 5 values. Received: 3"):
        idx.read_idx(tmp_path / "a.gz")


def test_every_file_has_the_hash_of_the_file_and_of_its_content() -> None:
    for data_set in DATA_SETS:
        assert len(data_set.FILES.hashes) == 4
        assert all(len(h) == 64 for pair in data_set.FILES.hashes.values() for h in pair)


@pytest.mark.network
@pytest.mark.parametrize("data_set", DATA_SETS)
def test_the_published_files_can_be_downloaded(data_set: ModuleType) -> None:
    assert len(data_set.load(DownloadParams(), places()).labels) == 70_000
