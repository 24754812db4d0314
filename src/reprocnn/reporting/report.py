"""Build the report: one self-contained HTML page that needs no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.examples import Examples
from reprocnn.artifacts.explanations import Explanations
from reprocnn.artifacts.history import Epoch, best_epoch
from reprocnn.artifacts.label_errors import LabelErrors
from reprocnn.artifacts.model_card import ModelCard
from reprocnn.artifacts.scores import Scores
from reprocnn.artifacts.training import TrainingSummary
from reprocnn.reporting import attention, charts, confusion, pages, words
from reprocnn.reporting.data_findings import Copied, Copies
from reprocnn.reporting.thumbnails import data_uri


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the report shows."""

    card: ModelCard
    """The model and its classes."""
    changed: Mapping[str, Any]
    """Parameter -> value, of those that differ from the defaults."""
    hashes: Mapping[str, str]
    """Path of an output -> its md5, as in dvc.lock."""
    training: TrainingSummary
    """Best epoch, size and cost of the model."""
    history: list[Epoch]
    """Results of each epoch."""
    scores: Scores
    """Metrics on the test split."""
    per_class: pd.DataFrame
    """Metrics per class, with the columns of `write_per_class`."""
    counts: NDArray[np.int64]
    """Confusion matrix, int64 (classes, classes), one row per actual class."""
    examples: Examples
    """Classified test images."""
    explanations: Explanations
    """Heat maps of what the model looks at."""
    confidence: Mapping[str, float]
    """Measures of the confidence, with the names of `evaluation.confidence.scores`."""
    reliability: pd.DataFrame
    """Accuracy against confidence, with the columns of `write_reliability`."""
    coverage: pd.DataFrame
    """Accuracy against coverage, with the columns of `write_coverage`."""
    robustness: pd.DataFrame
    """Accuracy on corrupted images, with the columns of `write_robustness`; empty if it was not measured."""
    split_counts: Mapping[str, NDArray[np.int64]]
    """Name of a split -> the number of its images per class, int64 (classes,)."""
    skipped: tuple[str, ...]
    """Files that were left out because they can't be read, each as `name: cause`."""
    samples: Mapping[str, NDArray[np.uint8]]
    """Class name -> a training image, uint8 (height, width, channels), 0-255; of at most 40 classes."""
    copies: Copies
    """Pairs of copies in the data set."""
    label_errors: LabelErrors
    """Labels of test images that are probably wrong."""


def html(content: Content) -> str:
    """Return the report as HTML. The same content gives the same text."""
    names = list(content.card.class_names)
    drawn = _charts(content, names)
    shown = confusion.images(content.examples, names)
    matrix = {
        "names": names,
        "cells": confusion.cells(content.counts),
        "order": confusion.similarity_order(content.counts),
        "images": shown,
    }
    return pages.render(
        "report.html",
        content=content,
        names=names,
        title=f"{content.card.model} on {content.card.dataset}",
        mistakes=words.mistakes(content.counts, names),
        fit=words.fit(content.history, len(names)),
        best=best_epoch(content.history),
        charts=drawn,
        matrix=matrix,
        n_shown=sum(map(len, shown.values())),
        most_confused=confusion.most_confused(content.counts),
        rows=[_class_row(number, row, shown) for number, row in enumerate(content.per_class.to_dict("records"))],
        explained=attention.explained(content.explanations),
        samples=[(name, data_uri(image)) for name, image in content.samples.items()],
        conflicts=[([_copied(one), _copied(other)], reason) for one, other, reason in content.copies.conflicts],
        label_errors=_label_errors(content.label_errors),
    )


def _charts(content: Content, names: list[str]) -> dict[str, charts.Chart]:
    """Return the charts of the page by name."""
    drawn = charts.curves(content.history) | {
        "reliability": charts.reliability(content.reliability),
        "accuracy against coverage": charts.coverage(content.coverage),
        "images per class": charts.class_balance(_lists(content), names),
    }
    return drawn | ({"robustness": charts.robustness(content.robustness)} if len(content.robustness) else {})


def _lists(content: Content) -> dict[str, list[int]]:
    return {split: [int(count) for count in counts] for split, counts in content.split_counts.items()}


def _copied(image: Copied) -> dict[str, Any]:
    """Return what the template shows of an image with a copy."""
    return image._asdict() | {"uri": None if image.pixels is None else data_uri(image.pixels)}


def _label_errors(found: LabelErrors) -> list[dict[str, Any]]:
    """Return what the template shows of the labels that are probably wrong, of which there are images."""
    rows = found.rows.head(len(found.images)).to_dict("records")
    return [{**row, "uri": data_uri(image)} for row, image in zip(rows, found.images, strict=True)]


def _class_row(number: int, row: Mapping[str, Any], shown: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return a row of the table per class: its metrics, confidence of the best hit, class and confidence of the worst.

    Args:
        number: the number of the class.
        row: its metrics, as `write_per_class` describes them.
        shown: the images of each cell of the confusion matrix.
    """
    own = {int(cell.split(",")[1]): found[0][1] for cell, found in shown.items() if cell.startswith(f"{number},")}
    hit = own.pop(number, None)
    wrong = max(own, key=lambda predicted: own[predicted]) if own else None
    metrics = [
        (name, None if np.isnan(row[name]) else row[name], row[f"{name}_low"], row[f"{name}_high"])
        for name in ("precision", "recall", "f1")
    ]
    return {
        "number": number,
        "name": row["class"],
        "n": row["n"],
        "metrics": metrics,
        "best": hit,
        "worst": None if wrong is None else (wrong, own[wrong]),
    }
