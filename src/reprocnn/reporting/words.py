"""Put results into sentences."""

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.history import Epoch, best_epoch

_GAP = 0.05
"""Overfitting: training accuracy exceeds validation accuracy by more than this."""
_RISE = 1.1
"""Overfitting: the last validation loss is this many times its minimum."""


def mistakes(counts: NDArray[np.int64], names: list[str]) -> str:
    """Say in a sentence how often and where a model is wrong.

    Args:
        counts: confusion matrix, int64 (classes, classes), one row per actual class.
        names: the name of each class.
    """
    total, wrong = int(counts.sum()), counts * (1 - np.eye(len(counts), dtype=np.int64))
    used = np.flatnonzero(counts.sum(axis=0))
    if len(used) == 1 and total > 1:
        return f"It answers {names[used[0]]} for every image: it has not learned to tell the classes apart."
    if not wrong.any():
        return f"Right on all {total:,} test images."
    sentence = f"Wrong on {wrong.sum():,} of {total:,} test images"
    actual, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    most = wrong.max()
    if most == 1:
        return f"{sentence}; no two mistakes are alike."
    return f"{sentence}; most often takes {names[actual]} for {names[predicted]} ({most:,} times)."


def fit(history: list[Epoch], n_classes: int) -> str:
    """Say what the curves show: overfitting, underfitting, or neither; with the numbers that show it.

    Args:
        history: the results of each epoch.
        n_classes: the number of classes.
    """
    last, best = history[-1], best_epoch(history)
    if best.validation_accuracy <= 1.2 / n_classes:
        found = f"{best.validation_accuracy:.1%} at best, with {n_classes} classes"
        return f"Underfitting: the validation accuracy is that of guessing ({found})."
    if len(history) == 1:
        return "One epoch only: the curves have no trend. Train for more epochs to see one."
    lowest = min(history, key=lambda epoch: epoch.validation_loss)
    gap = last.train_accuracy - last.validation_accuracy
    signs = []
    if gap > _GAP:
        signs.append(f"training accuracy {last.train_accuracy:.1%}, validation accuracy {last.validation_accuracy:.1%}")
    if last.validation_loss > _RISE * lowest.validation_loss and last.epoch - lowest.epoch >= 2:
        rise = f"from {lowest.validation_loss:.3f} (epoch {lowest.epoch}) to {last.validation_loss:.3f}"
        signs.append(f"validation loss rises {rise}")
    if signs:
        return f"Overfitting: {'; '.join(signs)}. More data, augmentation, dropout or fewer epochs may help."
    if lowest is last and best.epoch > 0.9 * len(history):
        return "Not finished: the validation loss still falls in the last epoch. More epochs may help."
    accuracies = f"training accuracy {last.train_accuracy:.1%}, validation accuracy {last.validation_accuracy:.1%}"
    return f"No clear overfitting: in the last epoch, {accuracies}."
