"""The predictions of the test split, and its most confident mistakes."""

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
    """Images of which the model took another class for the likeliest, the most confident first."""

    rows: "pd.DataFrame"
    """A row per image, as in `write_predictions`."""
    images: NDArray[np.uint8]
    """uint8 (n, height, width, channels), 0-255, in the order of the rows."""


def write_predictions(path: Path, table: "pd.DataFrame") -> None:
    """Write a row per image: its index in the split, actual and predicted class, confidence 0-1 of the prediction."""
    write_csv(path, table)


def write_mistakes(path: Path, mistakes: Mistakes) -> None:
    """Write mistakes as a folder with mistakes.csv and images.npy.

    The plot stage draws them from here, so that only evaluate opens the test split.
    """
    with atomic_folder(path) as folder:
        write_csv(folder / "mistakes.csv", mistakes.rows)
        np.save(folder / "images.npy", mistakes.images)


def read_mistakes(path: Path) -> Mistakes:
    """Read what `write_mistakes` writes.

    Raises:
        UserError: mistakes.csv is something else.
    """
    rows = read_table(path / "mistakes.csv", _COLUMNS, _TEXT, "evaluate")
    return Mistakes(rows, np.load(path / "images.npy", allow_pickle=False))
