"""Write and read splits. A split is a folder with images.npy and labels.npy."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from reprocnn.artifacts.files import atomic_folder

RAW_TRAIN = Path("data/raw/train")
RAW_TEST = Path("data/raw/test")
TRAIN = Path("data/processed/train")
VALIDATION = Path("data/processed/validation")

CHUNK_BYTES = 2**26
"""Memory limit for the images that are processed at a time, as float32."""


class Split(NamedTuple):
    """Images and their labels, in the same order."""

    images: NDArray[Any]
    """(N, height, width, channels): raw splits uint8, 0-255; processed splits float32, normalised."""
    labels: NDArray[Any]
    """Raw splits: int64 (N,), 0 to classes - 1; processed splits: float32 (N, classes), one-hot."""


class NpyWriter:
    """Writer that appends chunks to a .npy file whose shape is known in advance.

    It does not use a memory map, because written pages would count as memory of the process.

    Args:
        path: the file to write.
        shape: shape of the whole array.
        dtype: dtype of the array.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._shape, self._dtype, self._rows = shape, np.dtype(dtype), 0
        self.path = path
        self._file = path.open("wb")
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows.

        Args:
            rows: (n, *shape[1:]), of the dtype of the file.

        Raises:
            ValueError: the dtype or the shape does not match the file.
        """
        if rows.shape[1:] != self._shape[1:] or rows.dtype != self._dtype:
            raise ValueError(
                f"Expected rows of {self._dtype}{list(self._shape[1:])}. Received: {rows.dtype}{list(rows.shape[1:])}"
            )
        # Not `tofile`: when the disk is full, its error does not say so.
        self._file.write(np.ascontiguousarray(rows).data)
        self._rows += len(rows)

    def __enter__(self) -> "NpyWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None and self._rows != self._shape[0]:
            raise ValueError(f"Expected {self._shape[0]} rows. Received: {self._rows}")


def rows_per_chunk(shape: tuple[int, ...], most: int = 4096) -> int:
    """Return how many images to process at a time, so that as float32 they fit in CHUNK_BYTES; at least 1.

    Args:
        shape: (height, width, channels) of an image.
        most: the upper limit.
    """
    return max(1, min(most, CHUNK_BYTES // (4 * math.prod(shape))))


@contextmanager
def split_writer(
    path: Path, labels: NDArray[Any], image_shape: tuple[int, ...], dtype: DTypeLike
) -> Iterator[NpyWriter]:
    """Yield a writer for the images of a split. The folder appears only if the block ends without an error.

    Args:
        path: the folder to write.
        labels: labels in the order of the images, int64 (N,) or one-hot float32 (N, classes).
        image_shape: (height, width, channels).
        dtype: dtype of the images.
    """
    with atomic_folder(path) as folder:
        np.save(folder / "labels.npy", labels)
        with NpyWriter(folder / "images.npy", (len(labels), *image_shape), dtype) as images:
            yield images


def read_split(path: Path) -> Split:
    """Read a split. The images are memory-mapped."""
    images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
    return Split(images, np.load(path / "labels.npy", allow_pickle=False))
