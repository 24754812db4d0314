"""Find labels that are probably wrong, by confident learning.

C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def label_errors(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> pd.DataFrame:
    """Find images that probably belong to another class than their label says ("prune by noise rate" of the paper).

    Args:
        labels: int64 (N,), 0 to classes - 1.
        probabilities: float64 (N, classes), 0-1, of a model that was not trained on these images.

    Returns:
        One row per suspicious label, the most suspicious first: row (0 to N - 1), suggested (the other class, 0 to
        classes - 1) and score (0.5-1): half of 1 plus the probability of the suggested class minus that of the label.
    """
    given = probabilities[np.arange(len(labels)), labels]
    joint = _confident_joint(labels, probabilities, given)
    margins = np.full(len(labels), -1.0)
    suggested = labels.copy()
    for label, other in np.argwhere(joint):
        rows = np.flatnonzero(labels == label)
        margin = probabilities[rows, other] - given[rows]
        most = np.argsort(-margin, kind="stable")[: joint[label, other]]
        better = most[(margin[most] > 0) & (margin[most] > margins[rows[most]])]
        suggested[rows[better]], margins[rows[better]] = other, margin[better]
    rows = np.flatnonzero(suggested != labels)
    scores = ((1 + margins[rows]) / 2).round(4)
    table = pd.DataFrame({"row": rows, "suggested": suggested[rows], "score": scores})
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)


def _confident_joint(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], given: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Estimate how many images of each label belong to each other class.

    The threshold of a class is the mean probability that the model gives it on the images labelled so: a class that is
    hard to recognise, or has many wrong labels, has a low one. An image counts for the most probable class among those
    that reach their threshold; the counts of each label are then scaled to its number of images.

    Args:
        labels: int64 (N,), 0 to classes - 1.
        probabilities: float64 (N, classes), 0-1.
        given: float64 (N,), the probability of each label.

    Returns:
        Counts, int64 (classes, classes), one row per label, with 0 on the diagonal.
    """
    n_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=n_classes)
    sums = np.bincount(labels, weights=given, minlength=n_classes)
    thresholds = np.where(counts > 0, sums / counts.clip(1), np.inf)
    confident = np.where(probabilities >= thresholds - 1e-12, probabilities, -1.0)
    rows = np.flatnonzero(confident.max(axis=1) >= 0)
    joint = np.zeros((n_classes, n_classes))
    np.add.at(joint, (labels[rows], confident[rows].argmax(axis=1)), 1)
    joint *= (counts / joint.sum(axis=1).clip(1))[:, None]
    np.fill_diagonal(joint, 0)
    return np.rint(joint).astype(np.int64)
