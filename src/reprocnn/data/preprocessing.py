"""From raw images to what training reads: split, normalised, one-hot; chunk by chunk, in bounded memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import atomic_folder
from reprocnn.artifacts.split import NpyWriter, rows_per_chunk
from reprocnn.data.normalization import Normalization, fitted


def fit_normalization(images: NDArray[np.uint8], indices: NDArray[np.int64], kind: str) -> Normalization:
    """The normalisation with the statistics of the images at `indices`."""
    chunks = (images[part] for part in _parts(indices, images.shape[1:]))
    return fitted(kind, chunks, images.shape[-1])


def write_normalized(
    path: Path,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    indices: NDArray[np.int64],
    normalization: Normalization,
    n_classes: int,
) -> None:
    """Write the images at `indices` as a split: images.npy and one-hot labels.npy, both float32.

    Args:
        path: the folder to write.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        labels: int64 (N,).
        indices: int64 (n,), ascending, so that the file is read in one go.
        normalization: what to apply.
        n_classes: length of a one-hot label.
    """
    with atomic_folder(path) as folder:
        one_hot = np.eye(n_classes, dtype=np.float32)[labels[indices]]
        np.save(folder / "labels.npy", one_hot)
        shape = (len(indices), *images.shape[1:])
        with NpyWriter(folder / "images.npy", shape, np.float32) as writer:
            for part in _parts(indices, images.shape[1:]):
                writer.append(normalization(images[part]))


def _parts(indices: NDArray[np.int64], image_shape: tuple[int, ...]) -> list[NDArray[np.int64]]:
    rows = rows_per_chunk(image_shape)
    return [indices[start : start + rows] for start in range(0, len(indices), rows)]
