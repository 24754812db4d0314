"""Compare the probabilities of an exported model with those of the Keras model."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.backend import keras, tf
from reprocnn.errors import UserError

MAX_DIFFERENCE = 1e-4
"""Largest accepted difference of a probability."""


def predictions(model: keras.Model, batches: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Predict the probability of each class with the Keras model.

    Args:
        model: the Keras model. It runs on the CPU, because some GPUs compute with fewer bits.
        batches: images, float32 (n, height, width, channels), 0-255.

    Returns:
        float32 (N, classes), 0-1.
    """
    with tf.device("CPU"):
        return np.concatenate([model(images, training=False).numpy() for images in batches])


def largest_difference(
    expected: NDArray[np.float32],
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    batches: Iterable[NDArray[np.float32]],
) -> float:
    """Return the largest difference of a probability between two models, rounded up to a power of ten.

    A power of ten, at least 1e-7, because the exact value depends on the CPU, also where `portable` makes the training
    independent of it.

    Args:
        expected: the probabilities of the Keras model, float32 (N, classes).
        predict: the other model: from images to probabilities, float32 (n, classes).
        batches: the N images, float32 (n, height, width, channels), 0-255.
    """
    found = np.concatenate([predict(images) for images in batches])
    largest = float(np.abs(found - expected).max())
    if not math.isfinite(largest):
        return math.inf
    return float(f"1e{math.ceil(math.log10(max(largest, 1e-7)))}")


def check(path: Path, difference: float) -> None:
    """Refuse an exported model whose probabilities differ from those of the Keras model.

    Raises:
        UserError: the difference is larger than `MAX_DIFFERENCE`.
    """
    if difference > MAX_DIFFERENCE:
        raise UserError(
            f"{path}: expected the probabilities of the Keras model, found differences of up to {difference:g}",
            "train with another `model`, and report this one: its conversion is wrong",
        )
