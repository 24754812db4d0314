"""Define the common form of raw data, which every data source returns, and write it as splits."""

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
    """Images and labels as a data source returns them.

    Args:
        class_names: the class name of each label, in label order.
        labels: int64 (N,), 0 to number of classes - 1.
        is_test: bool (N,), whether an image belongs to the test split.
        image_shape: (height, width, channels) of every image.
        chunks: uint8 (n, height, width, channels), 0-255, in the order of `labels`.
        reading: messages for the user about how the source was read, one per line.
    """

    class_names: list[str]
    labels: NDArray[np.int64]
    is_test: NDArray[np.bool_]
    image_shape: tuple[int, int, int]
    chunks: Iterable[NDArray[np.uint8]]
    reading: Sequence[str] = ()


def in_chunks(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield images that are in memory in chunks.

    Args:
        images: uint8 (N, height, width, channels).
    """
    rows = rows_per_chunk(images.shape[1:])
    for start in range(0, len(images), rows):
        yield images[start : start + rows]


def joined(
    class_names: list[str],
    train: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> RawData:
    """Combine a training split and a test split into raw data.

    Args:
        class_names: the class name of each label.
        train: images uint8 (N, height, width, channels), 0-255, and labels uint8 (N,).
        test: the same for the test split.
    """
    return RawData(
        class_names=class_names,
        labels=np.concatenate([train[1], test[1]]).astype(np.int64),
        is_test=np.repeat([False, True], [len(train[1]), len(test[1])]),
        image_shape=train[0].shape[1:],
        chunks=(chunk for images in (train[0], test[0]) for chunk in in_chunks(images)),
    )


def write_splits(data: RawData, train: Path, test: Path) -> None:
    """Write raw data as two splits of uint8 images and int64 labels.

    Args:
        data: the raw data.
        train: the folder of the training split.
        test: the folder of the test split.

    Raises:
        UserError: a class has no training image.
    """
    counts = np.bincount(data.labels[~data.is_test], minlength=len(data.class_names))
    if empty := [n for n, count in zip(data.class_names, counts, strict=True) if not count]:
        raise UserError(f"no training image of class {empty[0]!r}", "add images of it, or remove the class")
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
    """Describe raw data in a card.

    Args:
        data: the raw data.
        name: the name of the data set.
    """
    n_test = int(data.is_test.sum())
    return DatasetCard(name, tuple(data.class_names), data.image_shape, len(data.labels) - n_test, n_test)
