"""Measure a model on the test split: everything that the evaluate stage writes."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.examples import Examples
from reprocnn.artifacts.explanations import Explanations
from reprocnn.artifacts.image_files import ImageFiles
from reprocnn.artifacts.label_errors import LabelErrors
from reprocnn.artifacts.model_card import ModelCard
from reprocnn.artifacts.scores import Scores
from reprocnn.backend import keras
from reprocnn.evaluation import confidence, metrics, predictions, robustness
from reprocnn.evaluation.examples import examples
from reprocnn.evaluation.explanations import explain
from reprocnn.evaluation.suspicious_labels import suspicious_labels
from reprocnn.inference.temperature import apply_temperature
from reprocnn.params import EvaluateParams


class Assessment(NamedTuple):
    """The results of a model on a split."""

    scores: Scores
    """The overall metrics."""
    confidence: dict[str, float]
    """The measures of the confidence, as `confidence.scores` returns them."""
    reliability: pd.DataFrame
    """Accuracy against confidence, as `confidence.reliability` returns it."""
    coverage: pd.DataFrame
    """Accuracy against coverage, as `confidence.coverage` returns it."""
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
    label_errors: LabelErrors
    """Labels that are probably wrong."""
    robustness: pd.DataFrame
    """The accuracy on corrupted images, as `robustness.measure` returns it; without rows if it was not measured."""


def assess(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    files: ImageFiles,
    copies: pd.DataFrame,
    *,
    card: ModelCard,
    params: EvaluateParams,
) -> Assessment:
    """Measure a model on a split.

    Args:
        model: takes images of raw pixels, 0-255, and returns class probabilities.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        labels: int64 (N,), 0 to classes - 1.
        files: the file of each image.
        copies: pairs of copies in this split and the training split, as `read_copies` returns them.
        card: its class names, temperature, threshold and conformal quantile.
        params: what to measure.
    """
    probabilities, copied = predictions.predict(model, images), copied_in_training(files, copies)
    augmented = predictions.predict_augmented(model, images, params.tta) if params.tta else None
    calibrated = apply_temperature(probabilities, card.temperature)
    trust = confidence.scores(probabilities, calibrated, labels, card.threshold_99, card.conformal_quantile_90)
    names, table = card.class_names, predictions.table(probabilities, labels, card.class_names, files)
    robust = robustness.measure(model, images, labels) if params.robustness else robustness.not_measured()
    scores = metrics.overall(probabilities, labels, params.top_k, augmented, robustness.mean_accuracy(robust))
    return Assessment(
        scores=replace(
            scores,
            n_copies=int(copied.sum()) or None,
            accuracy_without_copies=metrics.accuracy_without(probabilities, labels, copied),
            others={**scores.others, "ece": trust["ece"]},
        ),
        confidence=trust,
        reliability=confidence.reliability(probabilities, calibrated, labels),
        coverage=confidence.coverage(calibrated, labels),
        per_class=metrics.per_class(probabilities, labels, names),
        confusion=metrics.confusion(probabilities, labels),
        predictions=table,
        examples=examples(table, probabilities, images),
        explanations=_with_files(explain(model, images, labels, probabilities, names), files),
        label_errors=suspicious_labels(probabilities, labels, images, files, names),
        robustness=robust,
    )


def _with_files(explanations: Explanations, files: ImageFiles) -> Explanations:
    """Add the name of the file of each explained image."""
    names = [files.file[index] for index in explanations.rows["index"]]
    return explanations._replace(rows=explanations.rows.assign(file=names))


def copied_in_training(files: ImageFiles, copies: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which images of a split are copies of images of the other split, bool (N,).

    Args:
        files: the file of each image of the split.
        copies: pairs of copies in both splits, as `read_copies` returns them.
    """
    first_is_own, second_is_own = (copies[name].isin(files.file) for name in ("first", "second"))
    across = [*copies["first"][first_is_own & ~second_is_own], *copies["second"][second_is_own & ~first_is_own]]
    return np.isin(np.array(files.file, dtype=object).astype(str), np.array(across, dtype=object).astype(str))
