"""Write and read the predictions for the test split."""

from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

PREDICTIONS = Path("reports/predictions.csv")

_COLUMNS = ("index", "actual", "predicted", "confidence", "image")
_TEXT = ("actual", "predicted", "file", "image")


def write_predictions(path: Path, table: "pd.DataFrame") -> None:
    """Write the predictions as CSV.

    Args:
        path: the file to write.
        table: one row per image: index (in the split), actual and predicted (class names), confidence (0-1), file
            (name of its file), image (a hash of its pixels, the same in every split).
    """
    write_csv(path, table)


def read_predictions(path: Path) -> "pd.DataFrame":
    """Read the predictions, with the columns of `write_predictions`.

    Raises:
        UserError: a column is missing; `image` is in files of older versions of this project.
    """
    return read_table(path, _COLUMNS, _TEXT, "evaluate")
