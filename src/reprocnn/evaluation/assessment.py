"""Measure a model on the test split: everything that the evaluate stage writes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.examples import Examples
from reprocnn.artifacts.explanations import Explanations
from reprocnn.artifacts.scores import Scores
from reprocnn.backend import keras
from reprocnn.evaluation import metrics, predictions, robustness
from reprocnn.evaluation.examples import examples
from reprocnn.evaluation.explanations import explain
from reprocnn.params import EvaluateParams


class Assessment(NamedTuple):
    """The results of a model on a split."""

    scores: Scores
    """The overall metrics."""
    per_class: pd.DataFrame
    """The metrics per class, as `metrics.per_class` returns them."""
    confusion: NDArray[np.int64]
    """Counts, int64 (classes, classes), one row per actual class, one column per predicted class."""
    predictions: pd.DataFrame
    """One row per image, as `predictions.table` returns them."""
    examples: Examples
    """Classified images to show."""
    explanations: Explanations
    """Heat maps for some images."""
    robustness: pd.DataFrame
    """The accuracy on corrupted images, as `robustness.measure` returns it; without rows if it was not measured."""


def assess(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    params: EvaluateParams,
) -> Assessment:
    """Measure a model on a split.

    Args:
        model: takes images of raw pixels, 0-255, and returns class probabilities.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        labels: int64 (N,), 0 to classes - 1.
        class_names: the class name of each label.
        params: what to measure.
    """
    probabilities = predictions.predict(model, images)
    augmented = predictions.predict_augmented(model, images, params.tta) if params.tta else None
    table = predictions.table(probabilities, labels, class_names, images)
    robust = robustness.measure(model, images, labels) if params.robustness else robustness.not_measured()
    return Assessment(
        scores=metrics.overall(probabilities, labels, params.top_k, augmented, robustness.mean_accuracy(robust)),
        per_class=metrics.per_class(probabilities, labels, class_names),
        confusion=metrics.confusion(probabilities, labels),
        predictions=table,
        examples=examples(table, probabilities, images),
        explanations=explain(model, images, labels, probabilities, class_names),
        robustness=robust,
    )
