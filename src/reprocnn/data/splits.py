"""Draw stratified splits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from reprocnn.errors import UserError


def held_out(
    labels: NDArray[np.int64], class_names: Sequence[str], fraction: float, seed: int, key: str
) -> NDArray[np.bool_]:
    """Choose a fraction of the images, with the classes in the same proportions as in all images.

    Args:
        labels: int64 (N,).
        class_names: the class name of each label.
        fraction: fraction to choose, above 0 and below 1.
        seed: seed of the choice.
        key: the key of `fraction` in params.yaml, for messages.

    Returns:
        bool (N,), whether an image is chosen.

    Raises:
        UserError: a class has fewer than two images, or one of the two splits has fewer images than classes.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if few := [name for name, count in zip(class_names, counts, strict=True) if count < 2]:
        raise UserError(
            f"class {few[0]!r} has {counts[class_names.index(few[0])]} image(s) to split by {key}, expected 2 or more",
            "add images of it, or remove the class",
        )
    try:
        _, chosen = train_test_split(np.arange(len(labels)), test_size=fraction, stratify=labels, random_state=seed)
    except ValueError:
        raise UserError(
            f"{key}={fraction} of {len(labels)} images leaves a part with fewer images than the "
            f"{len(class_names)} classes",
            f"use more images or another {key}",
        ) from None
    mask = np.zeros(len(labels), dtype=bool)
    mask[chosen] = True
    return mask
