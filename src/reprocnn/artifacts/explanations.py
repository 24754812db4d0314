"""Write and read the explanations: heat maps of what the model looks at in some test images."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import atomic_folder
from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

EXPLANATIONS = Path("data/explanations")

_TEXT = ("kind", "file", "actual", "predicted", "second", "explained")
_COLUMNS = (*_TEXT, "index", "confidence", "second_confidence", "probability")


class Explanations(NamedTuple):
    """Heat maps of some test images."""

    rows: "pd.DataFrame"
    """One row per heat map: kind (`mistake`, `near miss` or `hit`), index of the image in the split, name of its file,
    actual, predicted and second most probable class, confidence and second_confidence (probabilities of the latter two,
    0-1), explained (the class that the map explains) and its probability (0-1). A mistake has two rows, which explain
    the predicted and the actual class."""
    images: NDArray[np.uint8]
    """uint8 (n, height, width, channels), 0-255, in the order of `rows`."""
    maps: NDArray[np.uint8]
    """uint8 (n, height, width), in the order of `rows`; 255 is where the model looks most. All 0 if nothing in the
    image speaks for the class."""


def write_explanations(path: Path, explanations: Explanations) -> None:
    """Write explanations as a folder with explanations.csv, images.npy and maps.npy.

    The plot stage reads them from here, so that only evaluate opens the test split.
    """
    with atomic_folder(path) as folder:
        write_csv(folder / "explanations.csv", explanations.rows)
        np.save(folder / "images.npy", explanations.images)
        np.save(folder / "maps.npy", explanations.maps)


def read_explanations(path: Path) -> Explanations:
    """Read the folder that `write_explanations` writes.

    Raises:
        UserError: explanations.csv lacks a column.
    """
    rows = read_table(path / "explanations.csv", _COLUMNS, _TEXT, "evaluate")
    images, maps = (np.load(path / f"{name}.npy", allow_pickle=False) for name in ("images", "maps"))
    return Explanations(rows, images, maps)
