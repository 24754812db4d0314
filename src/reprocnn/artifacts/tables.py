"""Write and read tables as CSV."""

from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.files import unexpected, write_bytes

if TYPE_CHECKING:  # the import takes a second
    import pandas as pd


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table, without its index, with `\\n` at the line ends of every platform."""
    write_bytes(path, table.to_csv(index=False, lineterminator="\n", na_rep="nan").encode())


def _read_csv(path: Path, text: tuple[str, ...]) -> "pd.DataFrame":
    """Read a table; the columns `text` hold text, whatever it looks like (a class may be called `007` or `NA`)."""
    import pandas as pd

    # By default pandas takes a class called `NA` or `null` for a missing value; here that is `nan` among numbers alone.
    numbers = [name for name in pd.read_csv(path, nrows=0).columns if name not in text]
    missing = {name: ["nan"] for name in numbers}
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=missing)


def read_table(path: Path, columns: tuple[str, ...], text: tuple[str, ...], stage: str) -> "pd.DataFrame":
    """Read a table that has some columns, and perhaps others.

    Args:
        path: the file.
        columns: names of those that it has to have.
        text: those of them that hold text.
        stage: that writes the file; named in the error.

    Raises:
        UserError: a column is missing.
    """
    table = _read_csv(path, text)
    if not set(columns) <= set(table.columns):
        raise unexpected(path, f"the columns {', '.join(columns)}", ", ".join(table.columns), stage)
    return table
