"""Turn raw images into normalised splits with one-hot labels. It works in chunks, so that it needs little memory."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.split import Split, rows_per_chunk, split_writer
from reprocnn.artifacts.statistics import Normalization
from reprocnn.data.normalization import fit, normalize
from reprocnn.params import NormalizationKind


def fit_normalization(images: NDArray[np.uint8], indices: NDArray[np.int64], kind: NormalizationKind) -> Normalization:
    """Fit a normalisation to the images at `indices`.

    Args:
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        indices: int64 (n,), the indices of the training images, 0 to N - 1.
        kind: `unit` or `standardize`.
    """
    chunks = (images[rows] for rows in _chunks(indices, images.shape[1:]))
    return fit(kind, chunks, images.shape[-1])


def write_normalized(
    path: Path, raw: Split, indices: NDArray[np.int64], normalization: Normalization, n_classes: int
) -> None:
    """Write the images at `indices` as a split of normalised images and one-hot labels, both float32.

    Args:
        path: the folder to write.
        raw: images uint8 (N, height, width, channels), 0-255, may be memory-mapped; labels int64 (N,).
        indices: int64 (n,), 0 to N - 1, ascending, so that the file is read from start to end.
        normalization: the normalisation to apply.
        n_classes: the number of classes, which is the length of a one-hot label.
    """
    one_hot = np.eye(n_classes, dtype=np.float32)[raw.labels[indices]]
    with split_writer(path, one_hot, raw.images.shape[1:], np.float32) as writer:
        for rows in _chunks(indices, raw.images.shape[1:]):
            writer.append(normalize(raw.images[rows], normalization))


def _chunks(indices: NDArray[np.int64], image_shape: tuple[int, ...]) -> list[NDArray[np.int64]]:
    size = rows_per_chunk(image_shape)
    return [indices[start : start + size] for start in range(0, len(indices), size)]
