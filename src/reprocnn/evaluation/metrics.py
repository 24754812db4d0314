"""Metrics of a classification."""

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
) -> Scores:
    """The metrics of a split as a whole.

    The interval of the accuracy is E. B. Wilson's ("Probable Inference, the Law of Succession, and Statistical
    Inference", 1927). The macro metrics are means over the classes that have images here. A class without images has
    no recall, so that its 0 would only tell of the split; images taken for it still lower the recall of their own
    class. (scikit-learn averages its balanced accuracy over the same classes.)

    Args:
        probabilities: float64 (N, classes).
        labels: int64 (N,).
        top_k: for the top-k accuracy, which is left out where there are no more than k classes.
        augmented: as `probabilities`, with test-time augmentation, where it was asked for.
    """
    predicted = probabilities.argmax(axis=1)
    interval = binomtest(int((predicted == labels).sum()), len(labels)).proportion_ci(0.95, method="wilson")
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, labels=np.unique(labels), average="macro", zero_division=0
    )
    others = {
        "loss": _loss(probabilities, labels),
        "top_k_accuracy": _top_k_accuracy(probabilities, labels, top_k),
        "macro_precision": precision,
        "macro_recall": recall,
        "macro_f1": f1,
    }
    return Scores(
        accuracy=accuracy(probabilities, labels),
        accuracy_low=_rounded(interval.low),
        accuracy_high=_rounded(interval.high),
        tta_accuracy=None if augmented is None else accuracy(augmented, labels),
        n=len(labels),
        others={name: _rounded(value) for name, value in others.items() if value is not None},
    )


def accuracy(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The part of the images, 0-1, whose likeliest class is theirs.

    Args:
        probabilities: float64 (N, classes).
        labels: int64 (N,).
    """
    return _rounded((probabilities.argmax(axis=1) == labels).mean())


def _loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean categorical cross-entropy in nats."""
    likelihood = probabilities[np.arange(len(labels)), labels].clip(1e-7)  # Keras' own bound
    return float(-np.log(likelihood).mean())


def _top_k_accuracy(probabilities: NDArray[np.float64], labels: NDArray[np.int64], k: int) -> float | None:
    """The part of the images, 0-1, whose class is among the k likeliest; None with k classes or fewer."""
    classes = np.arange(probabilities.shape[1])
    return top_k_accuracy_score(labels, probabilities, k=k, labels=classes) if len(classes) > k else None


def _rounded(value: float) -> float:
    return round(float(value), 6) + 0.0  # plus 0, because the mean of perfect predictions is -0


def per_class(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], class_names: Sequence[str]
) -> pd.DataFrame:
    """A row per class: class, precision, recall, f1 (each 0-1; NaN without images), n (its images)."""
    precision, recall, f1, n = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(len(class_names)), zero_division=0
    )
    scores = {"precision": precision, "recall": recall, "f1": f1}
    measured = {name: np.where(n > 0, values, np.nan).round(6) for name, values in scores.items()}
    return pd.DataFrame({"class": class_names, **measured, "n": n})


def without_images(labels: NDArray[np.int64], class_names: Sequence[str], most: int = 5) -> str:
    """Say which classes have no image in the test split; nothing where each has one.

    Args:
        labels: int64 (N,).
        class_names: the class of each label.
        most: names to say; of the others their number.
    """
    absent = [class_names[i] for i in np.setdiff1d(np.arange(len(class_names)), labels)]
    if not absent:
        return ""
    names = ", ".join(map(repr, absent[:most])) + (f" and {len(absent) - most} more" if len(absent) > most else "")
    return f"no test images of {len(absent)} of {len(class_names)} classes, left out of the macro metrics: {names}"


def confusion(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts, int64 (classes, classes), a row per actual and a column per predicted class."""
    return confusion_matrix(labels, probabilities.argmax(axis=1), labels=np.arange(probabilities.shape[1]))
