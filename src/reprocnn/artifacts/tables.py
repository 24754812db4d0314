"""Write and read tables as CSV."""

from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.files import unexpected, write_bytes

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV without its index. Lines end in `\\n` on every platform."""
    write_bytes(path, table.to_csv(index=False, lineterminator="\n", na_rep="nan").encode())


def _read_csv(path: Path, text: tuple[str, ...]) -> "pd.DataFrame":
    """Read a table. Values of the columns `text` stay text, also `007` and `NA`, which may be class names."""
    import pandas as pd

    # By default pandas reads a class called `NA` or `null` as missing; here only `nan` in numeric columns is missing.
    numbers = [name for name in pd.read_csv(path, nrows=0).columns if name not in text]
    missing = {name: ["nan"] for name in numbers}
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=missing)


def read_table(path: Path, columns: tuple[str, ...], text: tuple[str, ...], stage: str) -> "pd.DataFrame":
    """Read a CSV table and check that it has the required columns.

    Args:
        path: the file to read.
        columns: names of the required columns.
        text: names of the required columns that contain text.
        stage: the stage that writes the file; named in the error.

    Raises:
        UserError: a column is missing.
    """
    table = _read_csv(path, text)
    if not set(columns) <= set(table.columns):
        raise unexpected(path, f"the columns {', '.join(columns)}", ", ".join(table.columns), stage)
    return table
