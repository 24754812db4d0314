"""Writers and readers of the pipeline's files: the same content gives the same bytes, and a file appears by rename."""

import hashlib
import io
import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:  # imported where they are used: each takes up to seconds
    import keras
    import pandas as pd
    from matplotlib.figure import Figure

CHUNK_BYTES = 2**26
"""Memory of the images that are read, changed and written at a time, as float32."""

# The ZIP format's first moment. Every archive written here carries it instead of the clock.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; it becomes `path` when the block ends well, and goes away otherwise."""
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def durable_file(path: Path) -> Iterator[Path]:
    """As `atomic_file`, and where the power fails right after, the whole file is there."""
    with atomic_file(path) as partial:
        yield partial
        _to_disk(partial)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path` when the block ends well, and goes away otherwise."""
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file."""
    with atomic_file(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write JSON as a person reads it; keys stay in their order."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table, without its index, with `\\n` at the line ends of every platform."""
    write_bytes(path, table.to_csv(index=False, lineterminator="\n", na_rep="nan").encode())


def read_csv(path: Path, text: tuple[str, ...] = ()) -> "pd.DataFrame":
    """Read a table; the columns `text` hold text, whatever it looks like (a class may be called `007` or `NA`)."""
    import pandas as pd

    # By default pandas takes a class called `NA` or `null` for a missing value; here that is `nan` among numbers alone.
    numbers = [name for name in pd.read_csv(path, nrows=0).columns if name not in text]
    missing = {name: ["nan"] for name in numbers}
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=missing)


class NpyWriter:
    """Appends chunks to a .npy file of a shape known beforehand.

    It writes plainly, not through a memory map, whose written pages would count as the process's memory.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._shape, self._dtype, self._rows = shape, np.dtype(dtype), 0
        self._file = path.open("wb")
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows, of the file's dtype and row shape."""
        if rows.shape[1:] != self._shape[1:] or rows.dtype != self._dtype:
            raise ValueError(
                f"Expected rows of {self._dtype}{list(self._shape[1:])}. Received: {rows.dtype}{list(rows.shape[1:])}"
            )
        # Not `tofile`: its error for a full disk does not say so.
        self._file.write(np.ascontiguousarray(rows).data)
        self._rows += len(rows)

    def __enter__(self) -> "NpyWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None and self._rows != self._shape[0]:
            raise ValueError(f"Expected {self._shape[0]} rows. Received: {self._rows}")


def rows_per_chunk(shape: tuple[int, ...], most: int = 4096) -> int:
    """How many images of a shape to work on at a time, so that memory stays bounded at any image size."""
    return max(1, min(most, CHUNK_BYTES // (4 * math.prod(shape))))


def read_split(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read a split, a folder with images.npy and labels.npy; the images are memory-mapped."""
    images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
    return images, np.load(path / "labels.npy", allow_pickle=False)


def write_model(path: Path, model: "keras.Model") -> None:
    """Write a model as `.keras`, without the clock, the version and the memory addresses that Keras puts in."""
    with atomic_file(path) as partial:
        saved = partial.with_suffix(".keras")  # Keras insists on the suffix
        try:
            model.save(saved)
            partial.write_bytes(_stable_keras(saved))
        finally:
            saved.unlink(missing_ok=True)


def _stable_keras(path: Path) -> bytes:
    """The bytes of a `.keras` archive with its varying parts set to constants."""
    stable = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stable, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name == "metadata.json":
                constant = {"keras_version": "3", "date_saved": "1980-01-01@00:00:00"}
                content = json.dumps(json.loads(content) | constant, sort_keys=True).encode()
            if name == "config.json":
                content = _renumber_shared_objects(content)
            new.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), content)
    return stable.getvalue()


def _renumber_shared_objects(config: bytes) -> bytes:
    """Replace each `shared_object_id`, a memory address, by its number in order of appearance."""
    numbers: dict[bytes, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        return match[1] + str(numbers.setdefault(match[2], len(numbers))).encode()

    return re.sub(rb'("shared_object_id": )(\d+)', number, config)


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a figure as PNG, without the version of matplotlib in it, whatever the user's matplotlibrc says."""
    from matplotlib import style

    with atomic_file(path) as partial, style.context("default"):
        figure.savefig(partial, format="png", metadata={"Software": None})


def md5(path: Path) -> str:
    """The md5 of a file, as DVC records it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def sha256(path: Path) -> str:
    """The sha256 of a file, as published for downloads."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
