"""Write and read the accuracy on corrupted test images."""

from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

ROBUSTNESS = Path("reports/robustness.csv")

COLUMNS = ("corruption", "strength", "accuracy", "low", "high", "n")


def write_robustness(path: Path, table: "pd.DataFrame") -> None:
    """Write the accuracy on corrupted images as CSV.

    Args:
        path: the file to write.
        table: one row per corruption and strength: corruption (its name), strength (1-3), accuracy, low and high (its
            95 % confidence interval; each 0-1) and n, the number of images. The first row, corruption `none` of
            strength 0, is about the same images unchanged. No rows if robustness was not measured.
    """
    write_csv(path, table)


def read_robustness(path: Path) -> "pd.DataFrame":
    """Read the accuracy on corrupted images, with the columns of `write_robustness`.

    Raises:
        UserError: a column is missing.
    """
    return read_table(path, COLUMNS, ("corruption",), "evaluate")
