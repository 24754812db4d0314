"""Write and read label errors: labels of test images that are probably wrong, which the report shows."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import atomic_folder
from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

LABEL_ERRORS = Path("data/label_errors")

_TEXT = ("file", "label", "suggested")
_COLUMNS = ("index", *_TEXT, "score", "probability")


class LabelErrors(NamedTuple):
    """Labels of test images that are probably wrong, the most suspicious first."""

    rows: "pd.DataFrame"
    """One row per image: index in the split, name of its file, label and suggested class, score (0-1) and the
    probability of the suggested class (0-1)."""
    images: NDArray[np.uint8]
    """uint8 (n, height, width, channels), 0-255, of the first n rows; large images are reduced."""


def write_label_errors(path: Path, found: LabelErrors) -> None:
    """Write label errors as a folder with label_errors.csv and images.npy.

    The plot stage reads them from here, so that only evaluate opens the test split.
    """
    with atomic_folder(path) as folder:
        write_csv(folder / "label_errors.csv", found.rows)
        np.save(folder / "images.npy", found.images)


def read_label_errors(path: Path) -> LabelErrors:
    """Read the folder that `write_label_errors` writes.

    Raises:
        UserError: label_errors.csv lacks a column.
    """
    rows = read_table(path / "label_errors.csv", _COLUMNS, _TEXT, "evaluate")
    return LabelErrors(rows, np.load(path / "images.npy", allow_pickle=False))
