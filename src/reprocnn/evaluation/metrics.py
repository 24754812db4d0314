"""Metrics of a classification."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score


def overall(probabilities: NDArray[np.float64], labels: NDArray[np.int64], top_k: int) -> dict[str, float | int]:
    """The metrics of a split as a whole.

    Args:
        probabilities: float64 (N, classes).
        labels: int64 (N,).
        top_k: for the top-k accuracy, which is left out where there are no more than k classes.

    Returns:
        loss: mean categorical cross-entropy in nats; accuracy, 0-1, with the bounds of its 95 % interval (E. B. Wilson,
        "Probable Inference, the Law of Succession, and Statistical Inference", 1927); macro_precision, macro_recall,
        macro_f1: means over the classes that have images here; n: images. A class without images has no recall, so that
        its 0 would only tell of the split; images taken for it still lower the recall of their own class. (scikit-learn
        averages its balanced accuracy over the same classes.)
    """
    predicted = probabilities.argmax(axis=1)
    correct = int((predicted == labels).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(0.95, method="wilson")
    likelihood = probabilities[np.arange(len(labels)), labels].clip(1e-7)  # Keras' own bound
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels,
        predicted,
        labels=np.unique(labels),
        average="macro",
        zero_division=0,
    )
    metrics: dict[str, float | int] = {
        "loss": -np.log(likelihood).mean(),
        "accuracy": correct / len(labels),
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
    }
    if probabilities.shape[1] > top_k:
        metrics[f"top{top_k}_accuracy"] = top_k_accuracy_score(
            labels, probabilities, k=top_k, labels=np.arange(probabilities.shape[1])
        )
    metrics |= {"macro_precision": precision, "macro_recall": recall, "macro_f1": f1}
    # Plus 0, because the mean of perfect predictions is -0.
    return {name: round(float(value), 6) + 0.0 for name, value in metrics.items()} | {"n": len(labels)}


def accuracy(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The part of the images, 0-1, whose likeliest class is theirs.

    Args:
        probabilities: float64 (N, classes).
        labels: int64 (N,).
    """
    return round(float((probabilities.argmax(axis=1) == labels).mean()), 6)


def per_class(probabilities: NDArray[np.float64], labels: NDArray[np.int64], class_names: list[str]) -> pd.DataFrame:
    """A row per class: class, precision, recall, f1 (each 0-1; NaN without images), n (its images)."""
    precision, recall, f1, n = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(len(class_names)), zero_division=0
    )
    scores = {"precision": precision, "recall": recall, "f1": f1}
    measured = {name: np.where(n > 0, values, np.nan).round(6) for name, values in scores.items()}
    return pd.DataFrame({"class": class_names, **measured, "n": n})


def without_images(labels: NDArray[np.int64], class_names: list[str], most: int = 5) -> str:
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


def confusion(probabilities: NDArray[np.float64], labels: NDArray[np.int64], class_names: list[str]) -> pd.DataFrame:
    """Counts, a row per actual and a column per predicted class; the first column, `actual`, names the row."""
    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=np.arange(len(class_names)))
    table: Any = pd.DataFrame(counts, columns=class_names)
    table.insert(0, "actual", class_names, allow_duplicates=True)
    return table
