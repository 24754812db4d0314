"""Fit to validation images how far the confidence of a model can be trusted."""

from decimal import ROUND_CEILING, Context
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from reprocnn.inference.temperature import apply_temperature, logits, softmax

COVERAGE = 90
"""Percentage of images whose conformal set contains the actual class."""
_LOWEST, _HIGHEST = 0.05, 20.0
"""Bounds of the temperature."""


class Calibration(NamedTuple):
    """What turns the probabilities of a model into decisions; the fields of the model card with these names."""

    temperature: float
    """Divides the logits; above 1 lowers the confidence."""
    threshold_99: float | None
    """Lowest confidence above which 99 % of the images are classified correctly; None if there is none."""
    conformal_quantile_90: float
    """A class is in the conformal set of an image if 1 - its probability is not above this."""


def calibrate(probabilities: ArrayLike, labels: NDArray[np.int64]) -> Calibration:
    """Fit the temperature, and with it the threshold for 99 % accuracy and the quantile of 90 % conformal sets.

    Args:
        probabilities: of validation images, (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
    """
    temperature = fit_temperature(probabilities, labels)
    calibrated = apply_temperature(probabilities, temperature)
    return Calibration(temperature, accuracy_threshold(calibrated, labels), conformal_quantile(calibrated, labels))


def fit_temperature(probabilities: ArrayLike, labels: NDArray[np.int64]) -> float:
    """Fit the temperature with the lowest loss: the mean cross-entropy of the calibrated probabilities.

    Returns 1 if the images say nothing about it: none is classified wrongly, so that the loss would fall until each
    confidence is 1, or each image has equal probabilities.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", 2017.

    Args:
        probabilities: (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.

    Returns:
        0.05 to 20, rounded to 6 significant digits.
    """
    values, rows = logits(probabilities), np.arange(len(labels))

    def slope(log_temperature: float) -> float:
        """Compute the derivative of the loss by 1 / temperature. It has at most one zero: the loss is convex there."""
        expected = (softmax(values / np.exp(log_temperature)) * values).sum(axis=1)
        return float((expected - values[rows, labels]).mean())

    if (values.argmax(axis=1) == labels).all() or np.ptp(values, axis=1).max() < 1e-6:
        return 1.0
    low, high = np.log(_LOWEST), np.log(_HIGHEST)
    if slope(low) <= 0:
        return _LOWEST
    if slope(high) >= 0:
        return _HIGHEST
    # The zero of the slope is exact to many more digits than the minimum of the loss, which is flat there.
    return float(f"{np.exp(brentq(slope, low, high, xtol=1e-12)):.6g}")


def accuracy_threshold(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], percent: int = 99
) -> float | None:
    """Find the lowest confidence at or above which at least this percentage of the images is classified correctly.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        percent: the accuracy in percent.

    Returns:
        A confidence rounded to 6 digits, to be compared with confidences rounded in the same way; None if no threshold
        reaches the accuracy.
    """
    confidence, correct = probabilities.max(axis=1).round(6), probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], correct[order].cumsum()
    is_last = np.append(confidence[1:] != confidence[:-1], True)  # of equal confidences
    (reached,) = np.nonzero(is_last & (100 * right >= percent * np.arange(1, len(right) + 1)))
    return float(confidence[reached[-1]]) if len(reached) else None


def conformal_quantile(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Compute the quantile of split conformal prediction, for sets that contain the actual class of 90 % of images.

    The score of an image is 1 - the probability of its class. Source: A. Angelopoulos and S. Bates, "A Gentle
    Introduction to Conformal Prediction and Distribution-Free Uncertainty Quantification", 2021, section 1.

    Args:
        probabilities: of images that the model was not trained on, float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.

    Returns:
        0-1, rounded up to 6 significant digits; 1, which means all classes, for fewer than 9 images.
    """
    scores = np.sort(1 - probabilities[np.arange(len(labels)), labels])
    rank = -(-(len(scores) + 1) * COVERAGE // 100)  # rounded up
    if rank > len(scores):
        return 1.0
    return float(Context(prec=6, rounding=ROUND_CEILING).create_decimal(float(scores[rank - 1])))


def conformal_sets(probabilities: NDArray[np.float64], quantile: float) -> NDArray[np.bool_]:
    """Return which classes are in the conformal set of each image, bool (N, classes). A set may be empty.

    Args:
        probabilities: float64 (N, classes), 0-1.
        quantile: as `conformal_quantile` returns it.
    """
    return 1 - probabilities <= quantile
