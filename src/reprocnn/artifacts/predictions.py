"""Write the predictions for the test split."""

from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.tables import write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

PREDICTIONS = Path("reports/predictions.csv")


def write_predictions(path: Path, table: "pd.DataFrame") -> None:
    """Write the predictions as CSV.

    Args:
        path: the file to write.
        table: one row per image: index (in the split), actual and predicted (class names), confidence (0-1), image (a
            hash of its pixels, the same in every split).
    """
    write_csv(path, table)
