import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mirrors import Mirror
from reprocnn.data import cifar, cifar10
from reprocnn.data.fetch import Source
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places

NAMES = ["airplane", "automobile"]


def _pack(path: Path, folder: str, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _rows(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, 3072)).astype(np.uint8)


def _python_archive(path: Path) -> Path:
    batches = {f"data_batch_{i}": (_rows(i), [i % 2] * i) for i in range(1, 6)}
    batches["test_batch"] = (_rows(7), [0, 1, 0, 1, 0, 1, 1])
    members = {
        name: pickle.dumps({b"data": rows, b"labels": labels}, protocol=2) for name, (rows, labels) in batches.items()
    }
    members["batches.meta"] = pickle.dumps({b"label_names": [n.encode() for n in NAMES]}, protocol=2)
    return _pack(path, "cifar-10-batches-py", members | {"readme.html": b"<p>"})


def _binary_archive(path: Path) -> Path:
    def batch(rows: np.ndarray, labels: list[int]) -> bytes:
        return np.hstack([np.array(labels, np.uint8)[:, None], rows]).tobytes()

    members = {f"data_batch_{i}.bin": batch(_rows(i), [i % 2] * i) for i in range(1, 6)}
    members["test_batch.bin"] = batch(_rows(7), [0, 1, 0, 1, 0, 1, 1])
    meta = "\n".join(NAMES) + "\n\n"
    return _pack(path, "cifar-10-batches-bin", members | {"batches.meta.txt": meta.encode()})


@pytest.mark.parametrize("make", [_python_archive, _binary_archive])
def test_both_kinds_of_archives_give_the_same_images(make: object, tmp_path: Path) -> None:
    name = "cifar-10-python.tar.gz" if make is _python_archive else "cifar-10-binary.tar.gz"
    path = make(tmp_path / name)  # type: ignore[operator]
    data = (cifar.read_python if make is _python_archive else cifar.read_binary)(path)
    images = data.images
    assert data.class_names == NAMES
    assert images.shape == (15 + 7, 32, 32, 3)
    assert (data.files[0], data.files[2], data.files[-1]) == ("data_batch_1#0", "data_batch_2#1", "test_batch#6")
    assert images.dtype == np.uint8
    assert data.given == ["train"] * 15 + ["test"] * 7
    assert data.labels.tolist()[:6] == [1, 0, 0, 1, 1, 1]
    assert data.labels[-7:].tolist() == [0, 1, 0, 1, 0, 1, 1]
    # A row is channel first, then row by row: this is the second pixel in the green channel of the first image.
    assert images[0, 0, 1, 1] == _rows(1)[0, 1024 + 1]
    assert images[-1, 31, 31, 2] == _rows(7)[-1, -1]


def test_cifar100_uses_the_fine_labels(tmp_path: Path) -> None:
    def batch(n: int) -> bytes:
        labels = {b"fine_labels": [1] * n, b"coarse_labels": [0] * n}
        return pickle.dumps({b"data": _rows(n), **labels}, protocol=2)

    meta = pickle.dumps({b"fine_label_names": [b"apple", b"fish"], b"coarse_label_names": [b"x"]})
    members = {"train": batch(4), "test": batch(2), "meta": meta, "file.txt~": b""}
    data = cifar.read_python(_pack(tmp_path / "c.tar.gz", "cifar-100-python", members))
    assert data.class_names == ["apple", "fish"]
    assert data.labels.tolist() == [1] * 6


def test_load_uses_the_archive_in_the_users_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _binary_archive(tmp_path / "cifar-10-binary.tar.gz")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    python = Source("cifar-10-python.tar.gz", "0" * 64, ("http://127.0.0.1:9/none",))
    binary = Source(path.name, right, ())
    monkeypatch.setattr(cifar10, "SOURCES", (python, binary))
    monkeypatch.setenv("REPROCNN_MIRROR", str(tmp_path))
    assert cifar10.load(DownloadParams(), places()).class_names == NAMES
    path.write_bytes(path.read_bytes()[:-100])
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "other"))
    with pytest.raises(UserError, match="wrong sha256"):
        cifar10.load(DownloadParams(), places())


@pytest.mark.parametrize("kind", ["ok", "altered", "cut", "hang", "404", "html"])
@pytest.mark.parametrize("make", [_python_archive, _binary_archive])
def test_load_from_a_server(
    kind: str, make: object, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "cifar-10-python.tar.gz" if make is _python_archive else "cifar-10-binary.tar.gz"
    content = make(tmp_path / name).read_bytes()  # type: ignore[operator]
    monkeypatch.setattr(Mirror, "content", content)
    source = Source(name, hashlib.sha256(content).hexdigest(), (f"{mirror}/{kind}/{name}",))
    monkeypatch.setattr(cifar10, "SOURCES", (source,))
    monkeypatch.setattr("reprocnn.data.fetch.TIMEOUT", (1, 0.3))
    if kind == "ok":
        assert cifar10.load(DownloadParams(), places()).class_names == NAMES
    else:
        with pytest.raises(UserError, match="the download failed"):
            cifar10.load(DownloadParams(), places())
        assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()] == [".lock"]


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            import os

            return os.system, ("touch pwned",)

    path = _pack(tmp_path / "c.tar.gz", "x", {"data_batch_1": pickle.dumps(Evil())})
    with pytest.raises(pickle.UnpicklingError, match=r"Received: (posix|nt)\.system"):
        cifar.read_python(path)
