"""Read a table as text: CSV with commas, semicolons or tabs, or Parquet."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprocnn.errors import UserError

TABLES = (".csv", ".tsv", ".parquet")
"""The suffixes of tables."""

_DELIMITERS = ",;\t"
_MAX_DESCRIBED = 12
_MAX_CELL = 2**27


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        name: its path in the source, with `/` as separator.
        columns: name -> the cells of the column, without spaces around them; empty if missing.
    """

    name: str
    columns: dict[str, list[str]]

    @property
    def folder(self) -> str:
        """The folder in which the table is; empty for the top."""
        return self.name.rpartition("/")[0]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def describe(self) -> str:
        """Name the columns, each with its first value."""
        shown = [f"{name} ({cells[0][:30] if cells else ''})" for name, cells in self.columns.items()]
        more = f" and {len(shown) - _MAX_DESCRIBED} more" if len(shown) > _MAX_DESCRIBED else ""
        return f"{self.name} with the columns {', '.join(shown[:_MAX_DESCRIBED])}{more}"


def read_table(source: Path, name: str, content: bytes) -> Table:
    """Read a table.

    Args:
        source: the directory or archive that has it, for the messages.
        name: its path in the source; its suffix tells the format.
        content: the bytes of the file. Text is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        UserError: the file is not a table.
    """
    if name.lower().endswith(".parquet"):
        columns = _parquet_columns(f"{source}: {name}", content)
    else:
        columns = _text_columns(f"{source}: {name}", _decode(f"{source}: {name}", content))
    return Table(name, columns)


def _decode(place: str, content: bytes) -> str:
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{place}, line {line} is not UTF-8", "save it as CSV in UTF-8") from None


def _text_columns(place: str, text: str) -> dict[str, list[str]]:
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=lambda character: len(next(csv.reader([header], delimiter=character), [])))
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    names: list[str] = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if not any(row):
                continue
            if not names:
                names = _header(place, row)
                continue
            if len(row) < len(names) or any(row[len(names) :]):
                raise UserError(
                    f"{place}, line {reader.line_num}: expected {len(names)} cells as in the first line, found "
                    f"{len(row)}",
                    "correct the line; a cell with commas is put in double quotes",
                )
            rows.append(row[: len(names)])
    except csv.Error as error:
        raise UserError(f"{place}, line {reader.line_num}: {error}", "correct the line, or save it again") from None
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    return dict(zip(names, columns, strict=True))


def _header(place: str, row: list[str]) -> list[str]:
    """Return the names of the columns: a number for one without a name, as pandas writes the index."""
    while row and not row[-1]:
        row = row[:-1]
    names = [name or f"column {number}" for number, name in enumerate(row, 1)]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{place} has several columns {repeated[0]!r}", "rename or remove one of them")
    return names


def _parquet_columns(place: str, content: bytes) -> dict[str, list[str]]:
    """Return the columns of simple values. Nested ones and bytes, such as embedded images, are left out."""
    import pyarrow  # late: it takes 0.1 s, and few data sets need it
    from pyarrow import parquet, types

    try:
        table = parquet.read_table(pyarrow.BufferReader(content))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{place} is not a Parquet file: {reason}", "write it again, or use CSV") from None
    columns = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if not (types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type)):
            columns[field.name] = [_text(value) for value in column.to_pylist()]
    return columns


def _text(value: Any) -> str:
    """Return the text of a value: `3` for the float 3.0, which pandas makes of 3 in a column with missing values."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value).strip()
