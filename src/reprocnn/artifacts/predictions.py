"""Write the predictions for the test split; write and read the most confident mistakes among them."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import atomic_folder
from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

PREDICTIONS = Path("reports/predictions.csv")
MISTAKES = Path("data/mistakes")

_COLUMNS = ("index", "actual", "predicted", "confidence")
_TEXT = ("actual", "predicted")


class Mistakes(NamedTuple):
    """Wrongly classified images, with the most confident mistake first."""

    rows: "pd.DataFrame"
    """One row per image, with the columns of `write_predictions`."""
    images: NDArray[np.uint8]
    """uint8 (n, height, width, channels), 0-255, in the order of `rows`."""


def write_predictions(path: Path, table: "pd.DataFrame") -> None:
    """Write the predictions as CSV.

    Args:
        path: the file to write.
        table: one row per image: index (in the split), actual and predicted (class names), confidence (0-1).
    """
    write_csv(path, table)


def write_mistakes(path: Path, mistakes: Mistakes) -> None:
    """Write mistakes as a folder with mistakes.csv and images.npy.

    The plot stage reads them from here, so that only evaluate opens the test split.
    """
    with atomic_folder(path) as folder:
        write_csv(folder / "mistakes.csv", mistakes.rows)
        np.save(folder / "images.npy", mistakes.images)


def read_mistakes(path: Path) -> Mistakes:
    """Read the folder that `write_mistakes` writes.

    Raises:
        UserError: mistakes.csv lacks a column.
    """
    rows = read_table(path / "mistakes.csv", _COLUMNS, _TEXT, "evaluate")
    return Mistakes(rows, np.load(path / "images.npy", allow_pickle=False))
