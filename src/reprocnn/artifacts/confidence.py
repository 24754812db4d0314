"""Write and read the tables about the confidence of a model: measures, reliability, and accuracy against coverage."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

CONFIDENCE = Path("reports/confidence.csv")
RELIABILITY = Path("reports/reliability.csv")
COVERAGE = Path("reports/coverage.csv")

_IN_BIN = ("n", "confidence", "accuracy")
_RELIABILITY_COLUMNS = ("bin", *_IN_BIN, *(f"calibrated_{name}" for name in _IN_BIN))
_COVERAGE_COLUMNS = ("coverage", "threshold", "accuracy", "accuracy_low", "accuracy_high", "n")


def write_confidence(path: Path, measures: Mapping[str, float]) -> None:
    """Write the measures of the confidence as CSV.

    They are not in reports/metrics.json, whose every metric is a column of `dvc exp show`.

    Args:
        path: the file to write.
        measures: name -> value, as `evaluation.confidence.scores` returns them.
    """
    import pandas as pd

    write_csv(path, pd.DataFrame({"measure": list(measures), "value": list(measures.values())}))


def read_confidence(path: Path) -> dict[str, float]:
    """Read the measures of the confidence, name -> value.

    Raises:
        UserError: a column is missing.
    """
    table = read_table(path, ("measure", "value"), ("measure",), "evaluate")
    return dict(zip(table["measure"], table["value"].astype(float), strict=True))


def write_reliability(path: Path, table: "pd.DataFrame") -> None:
    """Write accuracy against confidence as CSV.

    Args:
        path: the file to write.
        table: one row per bin of the confidence: bin (its middle, 0-1), n (number of images), confidence and accuracy
            (means, 0-1; NaN without images), and after temperature scaling calibrated_n, calibrated_confidence and
            calibrated_accuracy.
    """
    write_csv(path, table)


def read_reliability(path: Path) -> "pd.DataFrame":
    """Read accuracy against confidence, with the columns of `write_reliability`.

    Raises:
        UserError: a column is missing.
    """
    return read_table(path, _RELIABILITY_COLUMNS, (), "evaluate")


def write_coverage(path: Path, table: "pd.DataFrame") -> None:
    """Write accuracy against coverage as CSV.

    Args:
        path: the file to write.
        table: one row per point: coverage (fraction of the images, the most confident ones), threshold (the lowest
            confidence among them after temperature scaling), accuracy, accuracy_low and accuracy_high (its 95 %
            interval), each 0-1, and n, the number of these images.
    """
    write_csv(path, table)


def read_coverage(path: Path) -> "pd.DataFrame":
    """Read accuracy against coverage, with the columns of `write_coverage`.

    Raises:
        UserError: a column is missing.
    """
    return read_table(path, _COVERAGE_COLUMNS, (), "evaluate")
