"""Read the user's corrections of a data set: data/exclude.csv and data/relabel.csv."""

import csv
from dataclasses import dataclass
from pathlib import Path

from reprocnn.errors import UserError

EXCLUDE = Path("data/exclude.csv")
RELABEL = Path("data/relabel.csv")
EXCLUDE_COLUMNS = ("file", "split", "reason")
RELABEL_COLUMNS = ("file", "label", "split", "reason")

_SPLITS = ("", "train", "test")


@dataclass(frozen=True)
class Correction:
    """A line of exclude.csv or relabel.csv."""

    label: str | None
    """The right class name; None: leave the image out."""
    in_test: bool
    """Whether the line holds for a test image, too."""


def read_corrections(exclude: Path, relabel: Path) -> dict[str, Correction]:
    """Read both files.

    Returns:
        File name, as in files.csv -> its correction.

    Raises:
        UserError: a file has other columns, a line lacks a value or has an unknown split, or two lines name one file.
    """
    corrections: dict[str, Correction] = {}
    for path, columns in ((exclude, EXCLUDE_COLUMNS), (relabel, RELABEL_COLUMNS)):
        for number, row in _lines(path, columns):
            if row["file"] in corrections:
                fix = f"remove one of its lines in {exclude} and {relabel}"
                raise UserError(f"{path}, line {number}: {row['file']!r} has a line already", fix)
            corrections[row["file"]] = Correction(row.get("label"), row["split"] == "test")
    return corrections


def _lines(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return the lines with their number in the file, each as column -> value."""
    try:
        # Spreadsheets write a byte order mark. Names that aren't UTF-8 are read as Python reads them from the disk.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            header = tuple(next(reader, ()))
            lines = [(reader.line_num, line) for line in reader if any(line)]
    except FileNotFoundError:
        raise UserError(f"{path} is missing", f"git checkout -- {path}") from None
    if header != columns:
        expected, found = ",".join(columns), ",".join(header) or "an empty file"
        raise UserError(f"{path}: expected the first line {expected}, found {found}", "write this line on top")
    return [(number, _check(path, number, dict(zip(columns, line, strict=False)), columns)) for number, line in lines]


def _check(path: Path, number: int, row: dict[str, str], columns: tuple[str, ...]) -> dict[str, str]:
    """Return a line with empty text for missing values at its end; refuse a wrong one."""
    row = dict.fromkeys(columns, "") | row
    where = f"{path}, line {number}"
    if row["split"] not in _SPLITS:
        fix = "leave it empty, or write `test` if the line is meant for a test image"
        raise UserError(f"{where}: expected the split train, test or nothing, found {row['split']!r}", fix)
    if missing := [name for name in columns[:-2] if not row[name]]:
        raise UserError(f"{where}: {missing[0]} is empty", f"write {','.join(columns)}, or remove the line")
    return row
