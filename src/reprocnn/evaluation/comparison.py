"""Compare classifiers on the test images that they have in common."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

MIN_COMMON = 30
"""With fewer images in common, two classifiers are not compared."""
RESAMPLES = 10_000
"""Bootstrap samples; the bounds of an interval then vary by a few hundredths of its width."""
F1_RESAMPLES = 1_000
"""Bootstrap samples of the macro F1, which take longer."""


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same images. Differences are the second minus the first, in fractions of the images."""

    n: int
    """Number of images."""
    both_right: int
    """Number of images that both classify correctly."""
    only_first: int
    """Number of images that only the first classifies correctly."""
    only_second: int
    """Number of images that only the second classifies correctly."""
    both_wrong: int
    """Number of images that neither classifies correctly."""
    difference: float
    """Difference of the accuracies, -1 to 1."""
    low: float
    """Lower bound of the 95 % confidence interval of the difference."""
    high: float
    """Upper bound of the 95 % confidence interval of the difference."""
    p_value: float
    """p-value of McNemar's exact test, two-sided."""


@dataclass(frozen=True)
class Spread:
    """Mean and spread of a metric over repeated trainings."""

    mean: float
    std: float | None
    """Standard deviation of the sample, with n - 1; None for one value."""
    n: int
    """Number of values."""


def match(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Match the images that two tables of predictions have in common, by the hash of the image and its actual class.

    Splits may have the same image several times: its first occurrence matches the first one, and so on.

    Args:
        first: as `predictions.table` returns it.
        second: likewise.

    Returns:
        One row per common image, in the order of `first`: image, actual, index_1, index_2, predicted_1, predicted_2.
    """
    key = ["image", "actual"]
    numbered = [table.assign(occurrence=table.groupby(key).cumcount()) for table in (first, second)]
    both = numbered[0].merge(numbered[1], on=[*key, "occurrence"], suffixes=("_1", "_2"), how="inner")
    return both[["image", "actual", "index_1", "index_2", "predicted_1", "predicted_2"]]


def compare(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Comparison:
    """Compare two classifiers on the same images.

    Args:
        first: bool (N,), whether the first classifier is right about each image.
        second: bool (N,), likewise for the second one.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    low, high = bootstrap_interval(len(first), only_first, only_second)
    return Comparison(
        n=len(first),
        both_right=int((first & second).sum()),
        only_first=only_first,
        only_second=only_second,
        both_wrong=int((~first & ~second).sum()),
        difference=(only_second - only_first) / len(first),
        low=low,
        high=high,
        p_value=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    If both classifiers are equally good, each is the right one in half of the images that only one has right (Q.
    McNemar, 1947; recommended for classifiers by T. G. Dietterich, "Approximate Statistical Tests for Comparing
    Supervised Classification Learning Algorithms", 1998).

    Args:
        only_first: number of images that only the first classifies correctly.
        only_second: number of images that only the second classifies correctly.
    """
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def bootstrap_interval(n: int, only_first: int, only_second: int) -> tuple[float, float]:
    """Return the 95 % paired percentile bootstrap interval of the difference of two accuracies, second minus first.

    A sample draws n images with replacement, each with both predictions (B. Efron, "Bootstrap Methods", 1979). Only the
    numbers of images that one alone has right matter, and these have a multinomial distribution: drawing them directly
    is the same and takes a millisecond, where drawing images takes a second for 10,000.

    Args:
        n: number of images.
        only_first: number of images that only the first classifies correctly.
        only_second: number of images that only the second classifies correctly.
    """
    shares = np.array([only_first, only_second, n - only_first - only_second]) / n
    drawn = np.random.default_rng(0).multinomial(n, shares, size=RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, (0.025, 0.975))
    return float(low), float(high)


def accuracy_interval(accuracy: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of an accuracy.

    It is that of `metrics.wilson_interval`, whose module takes a second to import.

    Args:
        accuracy: 0-1.
        n: number of images.
    """
    interval = binomtest(round(accuracy * n), n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def macro_f1_interval(actual: pd.Series, predicted: pd.Series) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the macro F1, the mean F1 of the classes that have images.

    A sample draws N images with replacement (B. Efron, "Bootstrap Methods", 1979). If every image is classified
    correctly, the interval is 1 to 1.

    Args:
        actual: the actual class of each image, text (N,).
        predicted: the predicted class of each image, likewise.
    """
    n, rng = len(actual), np.random.default_rng(0)
    codes, names = pd.factorize(pd.concat([actual, predicted]))
    images, answers = codes.reshape(2, n)
    samples = (rng.integers(n, size=n) for _ in range(F1_RESAMPLES))
    scores = [_macro_f1(images[drawn], answers[drawn], len(names)) for drawn in samples]
    low, high = np.quantile(scores, (0.025, 0.975))
    return float(low), float(high)


def _macro_f1(actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> float:
    """Return the macro F1, 0-1; many times faster than scikit-learn's.

    Args:
        actual: int64 (N,), 0 to classes - 1.
        predicted: likewise.
        classes: number of classes.
    """
    right, images, answers = (
        np.bincount(found, minlength=classes) for found in (actual[actual == predicted], actual, predicted)
    )
    present = images > 0
    return float((2 * right[present] / (images + answers)[present]).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests, in their order.

    Below 0.05, an adjusted value is significant at a family-wise error rate of 5 % (S. Holm, "A Simple Sequentially
    Rejective Multiple Test Procedure", 1979).
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return adjusted.tolist()


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and number of values; there is at least one."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, len(values))
