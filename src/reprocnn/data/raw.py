"""Raw data, the form in which every data set is loaded, and how it is written as splits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.dataset import DatasetCard
from reprocnn.artifacts.split import rows_per_chunk, split_writer
from reprocnn.errors import UserError


@dataclass(frozen=True)
class RawData:
    """Images and labels of a data set.

    Args:
        class_names: the class name of each label, in label order.
        labels: int64 (N,), 0 to number of classes - 1.
        is_test: bool (N,), True for the images of the test split.
        image_shape: (height, width, channels) of every image.
        chunks: the images in the order of `labels`, in parts of uint8 (n, height, width, channels), 0-255.
        white: the value of white that the user set for images with more than 8 bits per channel; None: not set.
        messages: what to tell the user about the data, one message per line.
    """

    class_names: list[str]
    labels: NDArray[np.int64]
    is_test: NDArray[np.bool_]
    image_shape: tuple[int, int, int]
    chunks: Iterable[NDArray[np.uint8]]
    white: float | None = None
    messages: Sequence[str] = ()


def in_chunks(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield an array of images in chunks of uint8 (n, height, width, channels), 0-255.

    Args:
        images: uint8 (N, height, width, channels), 0-255.
    """
    rows = rows_per_chunk(images.shape[1:])
    for start in range(0, len(images), rows):
        yield images[start : start + rows]


def combine_splits(
    class_names: list[str],
    train: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> RawData:
    """Combine a training split and a test split into raw data.

    Args:
        class_names: the class name of each label.
        train: images uint8 (N, height, width, channels), 0-255, and labels uint8 (N,), of the training split.
        test: images and labels of the test split, with the same dtypes and image shape.
    """
    return RawData(
        class_names=class_names,
        labels=np.concatenate([train[1], test[1]]).astype(np.int64),
        is_test=np.repeat([False, True], [len(train[1]), len(test[1])]),
        image_shape=train[0].shape[1:],
        chunks=(chunk for images in (train[0], test[0]) for chunk in in_chunks(images)),
    )


def write_splits(data: RawData, train: Path, test: Path) -> None:
    """Write raw data as a training split and a test split.

    Images are uint8 (n, height, width, channels), 0-255, and labels int64 (n,), both in the order of the raw data.

    Args:
        data: the raw data.
        train: the folder of the training split.
        test: the folder of the test split.

    Raises:
        UserError: a class has no training image.
    """
    counts = np.bincount(data.labels[~data.is_test], minlength=len(data.class_names))
    if empty := [name for name, count in zip(data.class_names, counts, strict=True) if not count]:
        raise UserError(
            f"expected training images of every class, found none of class {empty[0]!r}",
            "add images of it, or remove the class",
        )
    with (
        split_writer(train, data.labels[~data.is_test], data.image_shape, np.uint8) as to_train,
        split_writer(test, data.labels[data.is_test], data.image_shape, np.uint8) as to_test,
    ):
        start = 0
        for chunk in data.chunks:
            in_test = data.is_test[start : start + len(chunk)]
            to_train.append(chunk[~in_test])
            to_test.append(chunk[in_test])
            start += len(chunk)


def card(data: RawData, name: str) -> DatasetCard:
    """Return the description of a data set: its name, classes, image shape and the sizes of its splits.

    Args:
        data: the raw data.
        name: the name of the data set.
    """
    n_test = int(data.is_test.sum())
    n_train = len(data.labels) - n_test
    return DatasetCard(name, tuple(data.class_names), data.image_shape, n_train, n_test, data.white)
