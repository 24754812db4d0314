"""Raw data, the form in which every data set is loaded, and how a part of it is written as a split."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.image_files import ImageFiles, write_image_files
from reprocnn.artifacts.split import rows_per_chunk, split_writer


@dataclass(frozen=True)
class RawData:
    """Images and labels of a data set.

    Args:
        class_names: the class name of each label, in label order.
        labels: int64 (N,), 0 to number of classes - 1.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        files: the name of each image's file; `name#row` if a file has many images. Names are unique.
        given: the split in which the source has each image: `train`, `validation`, `test`, or empty.
        groups: the group of each image, such as the patient or the film; empty: none. `split_by: group` keeps a group
            in one split.
        white: the value of white that the user set for images with more than 8 bits per channel; None: not set.
        skipped: file name -> why it could not be read, of the files that the user wants to be skipped.
    """

    class_names: list[str]
    labels: NDArray[np.int64]
    images: NDArray[np.uint8]
    files: Sequence[str]
    given: Sequence[str]
    groups: Sequence[str]
    white: float | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)


def combine_splits(
    class_names: list[str],
    train: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    files: Sequence[str],
) -> RawData:
    """Combine a training split and a test split into raw data.

    Args:
        class_names: the class name of each label.
        train: images uint8 (N, height, width, channels), 0-255, and labels uint8 (N,), of the training split.
        test: images and labels of the test split, with the same dtypes and image shape.
        files: the name of each image, first of the training split, then of the test split.
    """
    sizes = (len(train[1]), len(test[1]))
    return RawData(
        class_names=class_names,
        labels=np.concatenate([train[1], test[1]]).astype(np.int64),
        images=np.concatenate([train[0], test[0]]),
        files=files,
        given=["train"] * sizes[0] + ["test"] * sizes[1],
        groups=[""] * sum(sizes),
    )


def numbered(file: str, n: int) -> list[str]:
    """Return the names of the n images in one file: `file#0`, `file#1` and so on."""
    return [f"{file}#{row}" for row in range(n)]


def image_hash(image: NDArray[np.uint8]) -> str:
    """Return a hash of an image's shape and pixels, by which the same image is found in another data set or split.

    Args:
        image: uint8 (height, width, channels), 0-255.

    Returns:
        The first 16 hex digits of a SHA-256: among 100,000 images, two equal ones have a probability of 3e-10.
    """
    return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()[:16]


def write_split(data: RawData, rows: NDArray[np.int64], path: Path) -> None:
    """Write some images of a data set as a split, with a list of their files.

    Images are uint8 (n, height, width, channels), 0-255, and labels int64 (n,), both in the order of the raw data.

    Args:
        data: the raw data, N images.
        rows: int64 (n,), ascending, 0 to N - 1.
        path: the folder to write.
    """
    hashes: list[str] = []
    size = rows_per_chunk(data.images.shape[1:])
    with split_writer(path, data.labels[rows], data.images.shape[1:], np.uint8) as writer:
        for start in range(0, len(rows), size):
            chunk = data.images[rows[start : start + size]]
            writer.append(chunk)
            hashes += map(image_hash, chunk)
        chosen = rows.tolist()
        files, groups, given = ([names[row] for row in chosen] for names in (data.files, data.groups, data.given))
        write_image_files(writer.path.parent, ImageFiles(files, groups, given, hashes))
