"""Stratified splits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from reprocnn.errors import UserError


def held_out(
    labels: NDArray[np.int64], class_names: Sequence[str], fraction: float, seed: int, key: str
) -> NDArray[np.bool_]:
    """Choose a random, stratified part of the images: every class has the same proportion in it as in the whole.

    Args:
        labels: int64 (N,), 0 to number of classes - 1.
        class_names: the class name of each label, in label order.
        fraction: the fraction of images to choose, between 0 and 1 (both exclusive).
        seed: the random seed.
        key: the key of `fraction` in params.yaml, for the error messages.

    Returns:
        bool (N,), True for the chosen images.

    Raises:
        UserError: a class has fewer than two images, or one of the two parts has fewer images than there are classes.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if small := [(name, count) for name, count in zip(class_names, counts, strict=True) if count < 2]:
        name, count = small[0]
        raise UserError(
            f"expected at least 2 images per class to split by {key}, found {count} of class {name!r}",
            "add images of it, or remove the class",
        )
    try:
        _, chosen = train_test_split(np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed)
    except ValueError:
        raise UserError(
            f"{key}={fraction} of {len(labels)} images leaves one of the two parts with fewer images than the "
            f"{len(class_names)} classes",
            f"use more images or another {key}",
        ) from None
    mask = np.zeros(len(labels), dtype=bool)
    mask[chosen] = True
    return mask
