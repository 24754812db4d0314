"""Write and read data/raw/copies.csv, the pairs of images that are copies of each other."""

from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.tables import read_table, write_csv

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd

COPIES = Path("data/raw/copies.csv")

_COLUMNS = ("first", "second", "kind", "similarity")
_TEXT = ("first", "second", "kind")


def write_copies(path: Path, pairs: "pd.DataFrame") -> None:
    """Write pairs of copies as CSV.

    Args:
        path: the file to write.
        pairs: one row per pair: first and second, the names of the files as in files.csv; kind, `duplicate` (equal
            pixels) or `near_duplicate`; similarity, 0-1.
    """
    write_csv(path, pairs[list(_COLUMNS)])


def read_copies(path: Path) -> "pd.DataFrame":
    """Read pairs of copies, with the columns of `write_copies`.

    Raises:
        UserError: a column is missing.
    """
    return read_table(path, _COLUMNS, _TEXT, "download")
