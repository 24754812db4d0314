"""Temperature scaling: make the confidence of a model agree with its accuracy.

Source: C. Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALLEST = float(np.finfo(np.float32).tiny)
"""Stands for a probability of 0. A larger bound, such as 1e-7, would make all rare classes of a model more probable."""


def logits(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the logits of probabilities, up to a constant per image: their logarithm.

    Args:
        probabilities: (n, classes), 0-1.

    Returns:
        float64 (n, classes), finite.
    """
    return np.log(np.asarray(probabilities, np.float64).clip(_SMALLEST))


def softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities that belong to logits, float64 (n, classes), rows that sum to 1."""
    powers = np.exp(values - values.max(axis=1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(axis=1, keepdims=True)


def apply_temperature(probabilities: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Divide the logits of each image by a temperature. The most probable class stays the same.

    Args:
        probabilities: (n, classes), 0-1.
        temperature: above 1 lowers the confidence, below 1 raises it.

    Returns:
        float64 (n, classes), rows that sum to 1.
    """
    return softmax(logits(probabilities) / temperature)
