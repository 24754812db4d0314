"""Measure how far the confidence of a model, the probability of its prediction, can be trusted."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.evaluation.calibration import conformal_sets
from reprocnn.evaluation.metrics import loss, rounded, wilson_interval

BINS = 15
"""Bins of equal width from 0 to 1, as in Guo et al. 2017."""
_RESAMPLES = 1000
_STEPS = 20
"""Points of the accuracy against coverage: 5 %, 10 %, ... 100 % of the images."""


def scores(
    probabilities: NDArray[np.float64],
    calibrated: NDArray[np.float64],
    labels: NDArray[np.int64],
    threshold: float | None,
    quantile: float,
) -> dict[str, float]:
    """Compute all metrics of the confidence.

    Args:
        probabilities: float64 (N, classes), 0-1.
        calibrated: the same after temperature scaling.
        labels: int64 (N,), 0 to classes - 1.
        threshold: the confidence from which on validation images have an accuracy of 99 %; None if there is none.
        quantile: of the scores of validation images, as `calibration.conformal_quantile` returns it.

    Returns:
        The metrics of `calibration_scores` before and, with the prefix `calibrated_`, after temperature scaling; after
        it, also those of `threshold_scores` with the prefix `threshold_99_`, and of `conformal_scores` with the prefix
        `conformal_90_`.
    """
    parts = {
        "": calibration_scores(probabilities, labels),
        "calibrated_": calibration_scores(calibrated, labels),
        "threshold_99_": threshold_scores(calibrated, labels, threshold),
        "conformal_90_": conformal_scores(calibrated, labels, quantile),
    }
    return {f"{prefix}{name}": value for prefix, part in parts.items() for name, value in part.items()}


def calibration_scores(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Compute metrics of the probabilities.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.

    Returns:
        loss: the mean cross-entropy in nats; brier: the Brier score, which is the mean squared error of all
        probabilities of an image, 0-2 (G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability",
        1950); ece: the expected calibration error, 0-1, with ece_low and ece_high, its 95 % interval.
    """
    error = probabilities.copy()
    error[np.arange(len(labels)), labels] -= 1
    low, high = _ece_interval(probabilities, labels)
    values = {
        "loss": loss(probabilities, labels),
        "brier": np.square(error).sum(axis=1).mean(),
        "ece": expected_calibration_error(probabilities, labels),
        "ece_low": low,
        "ece_high": high,
    }
    return {name: rounded(value) for name, value in values.items()}


def expected_calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Compute the mean difference between confidence and accuracy over the bins, weighted by their images; 0-1.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """
    bins, gaps = _bins(probabilities), _gaps(probabilities, labels)
    return float(np.abs(np.bincount(bins, gaps)).sum() / len(labels))


def _ece_interval(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Compute the 95 % basic bootstrap interval of the expected calibration error.

    The error of a resample is too high, as that of the images themselves is: chance adds to it in every bin. The basic
    interval mirrors the resamples at the measured error and so corrects this; the percentiles themselves would not even
    contain the error of a calibrated model. Source: A. Kumar et al., "Verified Uncertainty Calibration", 2019.
    """
    bins, gaps = _bins(probabilities), _gaps(probabilities, labels)
    random, n, resampled = np.random.default_rng(0), len(labels), np.empty(_RESAMPLES)
    for number in range(_RESAMPLES):
        chosen = random.integers(n, size=n)
        resampled[number] = np.abs(np.bincount(bins[chosen], gaps[chosen])).sum() / n
    measured = expected_calibration_error(probabilities, labels)
    low, high = 2 * measured - np.quantile(resampled, [0.975, 0.025])
    return max(0.0, float(low)), max(measured, float(high))


def _bins(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of the confidence of each image, 0 to BINS - 1."""
    return np.minimum((probabilities.max(axis=1) * BINS).astype(np.int64), BINS - 1)


def _gaps(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return confidence - correctness of each image, -1 to 1."""
    return probabilities.max(axis=1) - (probabilities.argmax(axis=1) == labels)


def reliability(
    probabilities: NDArray[np.float64], calibrated: NDArray[np.float64], labels: NDArray[np.int64]
) -> pd.DataFrame:
    """Build a table of accuracy against confidence, before and after temperature scaling.

    Args:
        probabilities: float64 (N, classes), 0-1.
        calibrated: the same after temperature scaling.
        labels: int64 (N,), 0 to classes - 1.

    Returns:
        One row per bin: its middle (bin), then n, confidence and accuracy (means; NaN if n is 0) of the images whose
        confidence is in it; the same after temperature scaling as calibrated_n, calibrated_confidence and
        calibrated_accuracy.
    """
    columns: dict[str, NDArray[np.generic]] = {"bin": ((np.arange(BINS) + 0.5) / BINS).round(6)}
    for prefix, values in (("", probabilities), ("calibrated_", calibrated)):
        bins, correct = _bins(values), values.argmax(axis=1) == labels
        n = np.bincount(bins, minlength=BINS)
        columns[f"{prefix}n"] = n
        for name, weights in (("confidence", values.max(axis=1)), ("accuracy", correct)):
            total = np.bincount(bins, weights, minlength=BINS)
            columns[f"{prefix}{name}"] = np.divide(total, n, out=np.full(BINS, np.nan), where=n > 0).round(6)
    return pd.DataFrame(columns)


def coverage(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> pd.DataFrame:
    """Build a table of the accuracy if only the most confident images are answered.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.

    Returns:
        One row per 5 % of the images: coverage (fraction that is answered), threshold (the lowest confidence among
        them), accuracy, accuracy_low and accuracy_high (95 % Wilson interval), and n, the number of images answered.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], correct[order].cumsum()
    rows = []
    for step in range(1, _STEPS + 1):
        n = math.ceil(len(labels) * step / _STEPS)
        low, high = wilson_interval(int(right[n - 1]), n)
        rows.append((n / len(labels), confidence[n - 1], right[n - 1] / n, low, high, n))
    names = ["coverage", "threshold", "accuracy", "accuracy_low", "accuracy_high", "n"]
    return pd.DataFrame(rows, columns=names).round(6)


def threshold_scores(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], threshold: float | None
) -> dict[str, float]:
    """Compute what a threshold of the confidence gives.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        threshold: the lowest confidence that is answered; None answers no image.

    Returns:
        coverage: the fraction of images that are answered; if there are any, also their accuracy, with accuracy_low and
        accuracy_high, its 95 % Wilson interval.
    """
    answered = probabilities.max(axis=1).round(6) >= (math.inf if threshold is None else threshold)
    n, right = int(answered.sum()), int((answered & (probabilities.argmax(axis=1) == labels)).sum())
    scores = {"coverage": rounded(n / len(labels))}
    return scores | _with_interval("accuracy", right, n) if n else scores


def conformal_scores(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], quantile: float
) -> dict[str, float]:
    """Compute what conformal sets give.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        quantile: as `calibration.conformal_quantile` returns it.

    Returns:
        coverage: the fraction of sets that contain the actual class, with coverage_low and coverage_high, its 95 %
        Wilson interval; size: the mean number of classes in a set; single and empty: the fractions of sets with one
        class and with none.
    """
    sets = conformal_sets(probabilities, quantile)
    sizes, covered = sets.sum(axis=1), sets[np.arange(len(labels)), labels]
    return _with_interval("coverage", int(covered.sum()), len(labels)) | {
        "size": rounded(sizes.mean()),
        "single": rounded((sizes == 1).mean()),
        "empty": rounded((sizes == 0).mean()),
    }


def _with_interval(name: str, right: int, n: int) -> dict[str, float]:
    low, high = wilson_interval(right, n)
    return {name: rounded(right / n), f"{name}_low": low, f"{name}_high": high}
