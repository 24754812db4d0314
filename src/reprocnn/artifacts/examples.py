"""Write and read examples: classified test images, which the report and the figure of mistakes show."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import atomic_folder
from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

EXAMPLES = Path("data/examples")

_COLUMNS = ("index", "actual", "predicted", "confidence", "file")
_TEXT = ("actual", "predicted", "file", "image")


class Examples(NamedTuple):
    """Classified test images, the most confident first."""

    rows: "pd.DataFrame"
    """One row per image, with the columns of `write_predictions`."""
    images: NDArray[np.uint8]
    """uint8 (n, height, width, channels), 0-255, in the order of `rows`; large images are reduced."""


def write_examples(path: Path, examples: Examples) -> None:
    """Write examples as a folder with examples.csv and images.npy.

    The plot stage reads them from here, so that only evaluate opens the test split.
    """
    with atomic_folder(path) as folder:
        write_csv(folder / "examples.csv", examples.rows)
        np.save(folder / "images.npy", examples.images)


def read_examples(path: Path) -> Examples:
    """Read the folder that `write_examples` writes.

    Raises:
        UserError: examples.csv lacks a column.
    """
    rows = read_table(path / "examples.csv", _COLUMNS, _TEXT, "evaluate")
    return Examples(rows, np.load(path / "images.npy", allow_pickle=False))
