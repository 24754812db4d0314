"""Predict with a saved model, which takes raw pixels 0-255."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.image_files import ImageFiles
from reprocnn.artifacts.split import rows_per_chunk
from reprocnn.backend import keras
from reprocnn.params import TestTimeAugmentation

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Function that transforms a chunk of images and keeps its shape."""


def predict(model: keras.Model, images: NDArray[np.uint8], change: Change = lambda chunk: chunk) -> NDArray[np.float64]:
    """Predict the probability of each class.

    Args:
        model: takes float32 images of raw pixels, 0-255.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        change: applied to each chunk of images before the prediction; keeps their shape.

    Returns:
        float64 (N, classes), rows that sum to 1.
    """
    rows = rows_per_chunk(images.shape[1:], most=512)
    starts = range(0, len(images), rows)
    chunks = (change(images[start : start + rows]).astype(np.float32) for start in starts)
    parts = [model.predict_on_batch(chunk) for chunk in chunks]
    return np.concatenate(parts).astype(np.float64)


def predict_augmented(
    model: keras.Model, images: NDArray[np.uint8], tta: tuple[TestTimeAugmentation, ...]
) -> NDArray[np.float64]:
    """Predict with test-time augmentation: average the class probabilities over transformed copies of each image.

    Args:
        model: takes float32 images of raw pixels, 0-255.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        tta: `flip` averages each image and its mirror image. With `shift` as well, these have half of the weight; the
            other half goes to the same two, shifted by one pixel to the upper left and to the lower right (K. Jordan,
            "94% on CIFAR-10 in 3.29 Seconds", 2024, which averages before the softmax).

    Returns:
        float64 (N, classes), rows that sum to 1.
    """
    shares = {0: 0.5, 1: 0.25, -1: 0.25} if "shift" in tta else {0: 1.0}
    parts = [
        share / 2 * predict(model, images, partial(_shift_and_mirror, by, mirror))
        for by, share in shares.items()
        for mirror in (False, True)
    ]
    return np.sum(parts, axis=0, dtype=np.float64)


def _shift_and_mirror(by: int, mirror: bool, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shift images diagonally by `by` pixels, and mirror them on request.

    Args:
        by: -1, 0 or 1; positive shifts to the upper left, negative to the lower right.
        mirror: whether to swap left and right.
        images: uint8 (n, height, width, channels), 0-255.
    """
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    shifted = padded[:, 1 + by : 1 + by + height, 1 + by : 1 + by + width]
    return shifted[:, :, ::-1] if mirror else shifted


def table(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    files: ImageFiles,
) -> pd.DataFrame:
    """Build a table of predictions.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        class_names: the class name of each label.
        files: the file of each image, and the hash of its pixels.

    Returns:
        One row per image: its index in the split, actual and predicted class, confidence (0-1) of the prediction, name
        of its file, and the hash of the image.
    """
    names = np.array(class_names, dtype=object)
    return pd.DataFrame(
        {
            "index": np.arange(len(labels)),
            "actual": names[labels],
            "predicted": names[probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1).round(6),
            "file": files.file,
            "image": files.image,
        }
    )
