"""Read the archives of CIFAR-10 and CIFAR-100, each with 60,000 colour images of 32x32 pixels.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import pickle
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprocnn.data.raw import RawData, combine_splits, numbered

OFFICIAL = "https://www.cs.toronto.edu/~kriz/"
# Byte-identical copies of the Python archives; the official host is slow, about 70 kB/s (June 2026).
MIRROR = "https://dataset.bj.bcebos.com/cifar/"


def read_python(path: Path) -> RawData:
    """Read a Python archive: pickled dicts, each with a row of 3,072 bytes per image.

    Returns:
        Images uint8 (60000, 32, 32, 3), 0-255, and labels int64 (60000,): 0-9, or 0-99 (CIFAR-100's fine
        classes).

    Raises:
        pickle.UnpicklingError: a file contains something other than dicts, lists, bytes, numbers and numpy arrays.
    """
    batches: dict[str, Any] = {name: _unpickle(content) for name, content in _members(path) if not _is_text(name)}
    if "batches.meta" in batches:
        class_names = batches["batches.meta"][b"label_names"]
        train, test, key = sorted(b for b in batches if b.startswith("data_batch")), "test_batch", b"labels"
    else:
        class_names = batches["meta"][b"fine_label_names"]
        train, test, key = ["train"], "test", b"fine_labels"
    return combine_splits(
        [name.decode() for name in class_names],
        (
            _pixels(np.concatenate([batches[b][b"data"] for b in train])),
            np.concatenate([batches[b][key] for b in train]).astype(np.uint8),
        ),
        (_pixels(batches[test][b"data"]), np.asarray(batches[test][key], dtype=np.uint8)),
        [name for batch in (*train, test) for name in numbered(batch, len(batches[batch][key]))],
    )


def read_binary(path: Path) -> RawData:
    """Read CIFAR-10's binary archive: a label byte and 3,072 pixel bytes per image.

    Returns:
        Images uint8 (60000, 32, 32, 3), 0-255, and labels int64 (60000,), 0-9.
    """
    members = dict(_members(path))
    class_names = members["batches.meta.txt"].decode().split()

    def read(names: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        rows = np.frombuffer(b"".join(members[n] for n in names), dtype=np.uint8).reshape(-1, 3073)
        return _pixels(rows[:, 1:]), rows[:, 0]

    train, test = sorted(name for name in members if name.startswith("data_batch")), "test_batch.bin"
    # The names of the Python archive, so that both archives give the same files.csv.
    files = [n for m in (*train, test) for n in numbered(m.removesuffix(".bin"), len(members[m]) // 3073)]
    return combine_splits(class_names, read(train), read([test]), files)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file. Nothing is extracted, so an archive can't write to the disk."""
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if file := archive.extractfile(member) if member.isfile() else None:
                yield PurePosixPath(member.name).name, file.read()


def _is_text(name: str) -> bool:
    return name.endswith((".html", ".txt~"))


def _pixels(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reshape rows uint8 (N, 3072), channel first, to images uint8 (N, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that accepts only dicts, lists, bytes, numbers and numpy arrays, because a pickle can run any code."""

    _ALLOWED = frozenset(
        {
            ("_codecs", "encode"),
            ("numpy", "dtype"),
            ("numpy", "ndarray"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"Expected numpy arrays only. Received: {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _unpickle(content: bytes) -> Any:
    return _ArraysOnly(BytesIO(content), encoding="bytes").load()
