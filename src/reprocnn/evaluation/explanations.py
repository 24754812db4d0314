"""Choose test images and explain what the model sees in them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.explanations import Explanations
from reprocnn.backend import keras
from reprocnn.evaluation.saliency import heat_maps


def explain(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    class_names: Sequence[str],
) -> Explanations:
    """Explain the predictions for a few mistakes, near misses and hits.

    Args:
        model: takes images of raw pixels, 0-255, and returns class probabilities.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        labels: int64 (N,), 0 to classes - 1.
        probabilities: the model's predictions for the images, float64 (N, classes), 0-1.
        class_names: the class name of each label.
    """
    kinds = {"mistake": mistakes, "near miss": near_misses, "hit": hits}
    chosen = [(kind, index) for kind, choose in kinds.items() for index in choose(probabilities, labels)]
    predicted, second = _two_best(probabilities)
    rows = [
        (kind, index, explained)
        for kind, index in chosen
        for explained in dict.fromkeys((predicted[index], labels[index]))  # one class if the prediction is right
    ]
    indices = np.array([index for _, index, _ in rows], np.int64)
    classes = np.array([explained for _, _, explained in rows], np.int64)
    names = np.array(class_names, dtype=object)
    table = pd.DataFrame(
        {
            "kind": [kind for kind, _, _ in rows],
            "index": indices,
            "actual": names[labels[indices]],
            "predicted": names[predicted[indices]],
            "second": names[second[indices]],
            "confidence": probabilities[indices, predicted[indices]].round(6),
            "second_confidence": probabilities[indices, second[indices]].round(6),
            "explained": names[classes],
            "probability": probabilities[indices, classes].round(6),
        }
    )
    maps = heat_maps(model, images[indices], classes)
    return Explanations(table, images[indices], (255 * maps).round().astype(np.uint8))


def mistakes(probabilities: NDArray[np.float64], labels: NDArray[np.int64], n: int = 8) -> NDArray[np.int64]:
    """Choose at most n wrongly classified images, most confident first.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        n: the maximum number of images.

    Returns:
        Indices, int64 (at most n,).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities.max(axis=1)[wrong], kind="stable")][:n]


def near_misses(probabilities: NDArray[np.float64], labels: NDArray[np.int64], n: int = 8) -> NDArray[np.int64]:
    """Choose at most n rightly classified images, smallest margin between the first and the second class first.

    Args and returns are those of `mistakes`. At most half of the rightly classified images are near misses.
    """
    order = _by_margin(probabilities, labels)
    return order[: len(order) // 2][:n]


def hits(probabilities: NDArray[np.float64], labels: NDArray[np.int64], n: int = 8) -> NDArray[np.int64]:
    """Choose at most n rightly classified images: the most confident of each class, then the next of each class.

    Args and returns are those of `mistakes`. No hit is a near miss.
    """
    order = _by_margin(probabilities, labels)
    right = order[len(order) // 2 :]
    right = right[np.lexsort((right, -probabilities.max(axis=1)[right]))]
    rank = pd.Series(labels[right]).groupby(labels[right]).cumcount().to_numpy()
    return right[np.argsort(rank, kind="stable")][:n]


def _by_margin(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of the rightly classified images, smallest margin first."""
    first, second = _two_best(probabilities)
    right = np.flatnonzero(first == labels)
    margin = probabilities[right, first[right]] - probabilities[right, second[right]]
    return right[np.argsort(margin, kind="stable")]


def _two_best(probabilities: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the most and the second most probable class of each image, int64 (N,) each."""
    first = probabilities.argmax(axis=1)
    others = probabilities.copy()
    others[np.arange(len(others)), first] = -1
    return first, others.argmax(axis=1)
