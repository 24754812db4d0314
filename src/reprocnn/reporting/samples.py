"""Describe the data: images per class and split, and an image of each class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def split_counts(
    labels: NDArray[np.int64], validation: NDArray[np.float32], test: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Count the images of each class in each split.

    Args:
        labels: labels of the training and validation images together, int64 (N,).
        validation: one-hot labels of the validation split, float32 (n, classes).
        test: the number of test images of each class, int64 (classes,).

    Returns:
        train, validation and test, each int64 (classes,).
    """
    held_out = validation.sum(axis=0).astype(np.int64)
    return {"train": np.bincount(labels, minlength=len(test)) - held_out, "validation": held_out, "test": test}


def one_per_class(
    images: NDArray[np.uint8], labels: NDArray[np.int64], names: Sequence[str], most: int = 40
) -> dict[str, NDArray[np.uint8]]:
    """Return the first image of each class, class name -> uint8 (height, width, channels).

    Args:
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        labels: int64 (N,), 0 to classes - 1.
        names: the name of each class.
        most: the maximum number of classes.
    """
    numbers, first = np.unique(labels, return_index=True)
    return {names[number]: np.asarray(images[i]) for number, i in list(zip(numbers, first, strict=True))[:most]}
