"""Write and read the test metrics: overall, per class, and the confusion matrix."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.cards import Card, parse_card
from reprocnn.artifacts.files import unexpected, write_json
from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

METRICS = Path("reports/metrics.json")
PER_CLASS = Path("reports/per_class.csv")
CONFUSION_MATRIX = Path("reports/confusion_matrix.csv")

_BOUNDS = tuple(f"{name}_{bound}" for name in ("precision", "recall", "f1") for bound in ("low", "high"))
_PER_CLASS = ("class", "precision", "recall", "f1", "n", *_BOUNDS)


@dataclass(frozen=True, kw_only=True)
class Scores(Card):
    """Overall metrics of a split."""

    accuracy: float
    """Fraction of the images that are classified correctly, 0-1."""
    accuracy_low: float
    """Lower bound of the 95 % confidence interval of the accuracy, 0-1."""
    accuracy_high: float
    """Upper bound of the 95 % confidence interval of the accuracy, 0-1."""
    tta_accuracy: float | None = None
    """Accuracy with test-time augmentation, 0-1; None without it."""
    n: int
    """Number of images."""
    n_copies: int | None = None
    """Number of images that are copies of training images; None instead of 0."""
    accuracy_without_copies: float | None = None
    """Accuracy without these images, 0-1; None if all images are copies, or none is."""
    others: Mapping[str, float]
    """Metric name -> value, for all other metrics. In the file they are on the same level as those above."""

    def to_dict(self) -> dict[str, float]:
        """Return metric name -> value for all metrics that are not None, as in the file."""
        own = {name: value for name, value in asdict(self).items() if name != "others" and value is not None}
        return own | dict(self.others)


def without_copies(scores: Scores) -> str:
    """Return `, without 31 copies of training images 91.40%`, or an empty text if the test split has no copies."""
    if scores.n_copies is None or scores.accuracy_without_copies is None:
        return ""
    noun = "copy" if scores.n_copies == 1 else "copies"
    return f", without {scores.n_copies} {noun} of training images {scores.accuracy_without_copies:.2%}"


def write_scores(path: Path, scores: Scores) -> None:
    """Write the metrics as a JSON object, metric name -> value. Metrics that are None are left out."""
    write_json(path, scores.to_dict())


def read_scores(path: Path) -> Scores:
    """Read the overall metrics.

    Raises:
        UserError: the file does not have these metrics.
    """
    expected = "a JSON object with accuracy, accuracy_low, accuracy_high, n and other metrics"
    try:
        values = dict(json.loads(path.read_bytes()))
    except (TypeError, ValueError):
        raise unexpected(path, expected, "no JSON object", "evaluate") from None
    own = {field.name: values.pop(field.name) for field in fields(Scores) if field.name in values}
    return parse_card(path, json.dumps(own | {"others": values}).encode(), Scores, expected, "evaluate")


def write_per_class(path: Path, table: "pd.DataFrame") -> None:
    """Write the metrics per class as CSV.

    Args:
        path: the file to write.
        table: one row per class: class, precision, recall, f1 (each 0-1; NaN for a class without images), n, its
            number of images, and the bounds of the 95 % intervals, precision_low, precision_high, recall_low, ...
    """
    write_csv(path, table)


def read_per_class(path: Path) -> "pd.DataFrame":
    """Read the metrics per class, with the columns of `write_per_class`.

    Raises:
        UserError: a column is missing.
    """
    return read_table(path, _PER_CLASS, ("class",), "evaluate")


def write_confusion(path: Path, counts: NDArray[np.int64], class_names: Sequence[str]) -> None:
    """Write a confusion matrix as CSV. The first column, `actual`, has the class name of the row.

    Args:
        path: the file to write.
        counts: int64 (classes, classes), one row per actual class, one column per predicted class.
        class_names: the names of the rows and columns.
    """
    import pandas as pd

    table = pd.DataFrame(counts, columns=list(class_names))
    table.insert(0, "actual", list(class_names), allow_duplicates=True)  # a class may be called `actual`
    write_csv(path, table)


def read_confusion(path: Path) -> NDArray[np.int64]:
    """Read the counts of a confusion matrix, int64 (classes, classes), one row per actual class.

    Raises:
        UserError: the file is not a square matrix of whole numbers.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        counts = np.array([list(map(int, row[1:])) for row in rows], np.int64)
    except ValueError as error:  # an empty file, text, rows of different length
        raise unexpected(path, "a square matrix of whole numbers", str(error), "evaluate") from None
    if counts.ndim != 2 or len(counts) != counts.shape[1]:
        raise unexpected(path, "a square matrix of whole numbers", f"the shape {counts.shape}", "evaluate")
    return counts
