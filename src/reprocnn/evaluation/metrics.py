"""Compute the metrics of a classification."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from reprocnn.artifacts.scores import Scores


def overall(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    top_k: int,
    augmented: NDArray[np.float64] | None = None,
    robust_accuracy: float | None = None,
) -> Scores:
    """Compute the overall metrics of a split.

    The accuracy has a 95 % Wilson interval. Macro metrics are means over the classes that have images in this split:
    the recall of a class without images is undefined, and to count it as 0 would measure the split, not the model. An
    image that is wrongly predicted as such a class still lowers the recall of its actual class. (scikit-learn averages
    its balanced accuracy over the same classes.)

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        top_k: k of the top-k accuracy, which is left out if there are k classes or fewer.
        augmented: the probabilities with test-time augmentation, float64 (N, classes), 0-1; None without it.
        robust_accuracy: the mean accuracy on corrupted images, 0-1; None if it was not measured.
    """
    predicted = probabilities.argmax(axis=1)
    low, high = wilson_interval(int((predicted == labels).sum()), len(labels))
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=np.unique(labels), average="macro", zero_division=0
    )
    others = {
        "loss": loss(probabilities, labels),
        "top_k_accuracy": _top_k_accuracy(probabilities, labels, top_k),
        "macro_precision": precision,
        "macro_recall": recall,
        "macro_f1": f1,
        "robust_accuracy": robust_accuracy,
    }
    return Scores(
        accuracy=accuracy(probabilities, labels),
        accuracy_low=low,
        accuracy_high=high,
        tta_accuracy=None if augmented is None else accuracy(augmented, labels),
        n=len(labels),
        others={name: rounded(value) for name, value in others.items() if value is not None},
    )


def accuracy(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Compute the accuracy, 0-1: the fraction of images whose most probable class is the actual class.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
    """
    return rounded((probabilities.argmax(axis=1) == labels).mean())


def accuracy_without(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], left_out: NDArray[np.bool_]
) -> float | None:
    """Compute the accuracy, 0-1, without some images; None if none is left out, or all are.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        left_out: bool (N,), True for the images to leave out.
    """
    return None if left_out.all() or not left_out.any() else accuracy(probabilities[~left_out], labels[~left_out])


def wilson_interval(count: int, n: int) -> tuple[float, float]:
    """Compute the 95 % confidence interval of a fraction.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.

    Args:
        count: how many of n have the property.
        n: at least 1.
    """
    interval = binomtest(count, n).proportion_ci(0.95, method="wilson")
    return rounded(interval.low), rounded(interval.high)


def loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Compute the mean categorical cross-entropy in nats."""
    likelihood = probabilities[np.arange(len(labels)), labels].clip(1e-7)  # Keras' own bound
    return float(-np.log(likelihood).mean())


def _top_k_accuracy(probabilities: NDArray[np.float64], labels: NDArray[np.int64], k: int) -> float | None:
    """Compute the top-k accuracy, 0-1; None if there are k classes or fewer."""
    classes = np.arange(probabilities.shape[1])
    return top_k_accuracy_score(labels, probabilities, k=k, labels=classes) if len(classes) > k else None


def rounded(value: float) -> float:
    """Round a metric to the 6 digits that files have."""
    return round(float(value), 6) + 0.0  # plus 0, because the mean of perfect predictions is -0


def per_class(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], class_names: Sequence[str]
) -> pd.DataFrame:
    """Compute the metrics per class, with 95 % Wilson intervals.

    The interval of F1 is that of J = TP / (TP + FP + FN), of which F1 = 2 J / (1 + J) is an increasing function.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        class_names: the class name of each label.

    Returns:
        One row per class: class; precision, recall, f1; n, its number of images; and the bounds of the intervals,
        precision_low, precision_high, recall_low, ... All metrics are 0-1, or NaN for a class without images. An
        interval of a class that was never predicted is NaN for precision.
    """
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, n = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(len(class_names)), zero_division=0
    )
    scores = {"precision": precision, "recall": recall, "f1": f1}
    measured = {name: np.where(n > 0, values, np.nan).round(6) for name, values in scores.items()}
    right = confusion(probabilities, labels).diagonal()
    times_predicted = np.bincount(predicted, minlength=len(class_names))
    totals = {"precision": times_predicted, "recall": n, "f1": times_predicted + n - right}
    bounds: dict[str, NDArray[np.float64]] = {}
    for name, total in totals.items():
        low, high = _wilson(right, np.where(n > 0, total, 0))
        if name == "f1":
            low, high = 2 * low / (1 + low), 2 * high / (1 + high)
        bounds |= {f"{name}_low": low.round(6), f"{name}_high": high.round(6)}
    return pd.DataFrame({"class": class_names, **measured, "n": n, **bounds})


def _wilson(right: NDArray[np.int64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds of the 95 % Wilson intervals of right / n, each float64 (classes,); NaN where n is 0."""
    pairs = [wilson_interval(int(k), int(m)) if m else (np.nan, np.nan) for k, m in zip(right, n, strict=True)]
    low, high = np.array(pairs, np.float64).reshape(-1, 2).T
    return low, high


def absent_classes_note(labels: NDArray[np.int64], class_names: Sequence[str], most: int = 5) -> str:
    """Return a message that names the classes without test images; empty if there are none.

    Args:
        labels: int64 (N,), 0 to classes - 1.
        class_names: the class name of each label.
        most: how many classes to name; the others are only counted.
    """
    absent = [class_names[i] for i in np.setdiff1d(np.arange(len(class_names)), labels)]
    if not absent:
        return ""
    names = ", ".join(map(repr, absent[:most])) + (f" and {len(absent) - most} more" if len(absent) > most else "")
    return f"no test images of {len(absent)} of {len(class_names)} classes, left out of the macro metrics: {names}"


def confusion(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute the confusion matrix.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.

    Returns:
        Counts, int64 (classes, classes), one row per actual class, one column per predicted class.
    """
    return confusion_matrix(labels, probabilities.argmax(axis=1), labels=np.arange(probabilities.shape[1]))
