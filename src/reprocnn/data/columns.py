"""Find out what the columns of a table mean: file, label, split and group."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reprocnn.data.file_names import FileNames
from reprocnn.data.split_names import split_of
from reprocnn.data.table import Table
from reprocnn.errors import UserError

_LABELS = {
    *("label", "labels", "class", "classes", "category", "categories", "target"),
    *("class name", "classname", "label name", "class label"),
}
_GROUPS = {"group", "groups", "group id", "groupid", "patient", "patient id", "patientid", "subject id"}
_SPLITS = {"train", "validation", "test"}
_SAMPLE = 200
"""Rows that are looked at to find the column with the file names."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns of a table.

    Args:
        file: the names of the images.
        label: their classes; None: unknown.
        split: their splits; None: the table has none.
        group: their groups; None: the table has none.
        others: columns that may have the classes, if `label` is unknown.
    """

    file: str
    label: str | None
    split: str | None
    group: str | None
    others: list[str]


def find_file_columns(table: Table, names: FileNames, wanted: str) -> list[str]:
    """Return the column whose cells are names of images, followed by columns that name the same images.

    Args:
        table: any table.
        names: the images.
        wanted: the name of the column, or `auto`.

    Returns:
        Names of columns; none if no column names images.

    Raises:
        UserError: two columns name different images.
    """
    if wanted != "auto":
        return [wanted] if wanted in table.columns else []
    rows = range(0, len(table), max(1, len(table) // _SAMPLE))
    scores, named = {}, {}
    for column, cells in table.columns.items():
        values = [cells[row] for row in rows]
        found = [tuple(names.find(value, table.folder)) for value in values]
        if 2 * sum(map(bool, found)) >= len(values) > 0:
            certain = sum(len(images) == 1 for images in found) * 2 >= len(values)
            complete = sum(map(names.has_suffix, values)) * 2 >= len(values)
            scores[column], named[column] = (certain, complete, len(set(found))), found
    if not scores:
        return []
    best = max(scores, key=lambda column: scores[column])
    if rivals := [name for name in scores if scores[name] == scores[best] and named[name] != named[best]]:
        raise UserError(
            f"{table.name}: the columns {best} and {rivals[0]} both name images",
            f"`-S file_column={best}`, or `-S file_column={rivals[0]}`",
        )
    return [best, *(name for name in scores if name != best and named[name] == named[best])]


def find_columns(table: Table, file_columns: Sequence[str], wanted_label: str, wanted_group: str) -> Columns:
    """Find the columns with the labels, splits and groups.

    Args:
        table: the table.
        file_columns: the columns with file names, the one to use first.
        wanted_label: the name of the column with the labels, `auto`, or `none`: the table has no labels.
        wanted_group: the name of the column with the groups, or `auto`.

    Raises:
        UserError: a wanted column is missing, or several columns may be meant.
    """
    for key, wanted in (("label_column", wanted_label), ("group_column", wanted_group)):
        if wanted not in ("auto", "none", *table.columns):
            raise UserError(f"{key}: {wanted} is not a column of {table.describe()}", f"`-S {key}=NAME`, or auto")
    free = [name for name in table.columns if name not in (*file_columns, wanted_label, wanted_group)]
    free = [name for name in free if not name.startswith("column ")]  # the index that pandas writes
    group = wanted_group if wanted_group != "auto" else _only([name for name in free if _plain(name) in _GROUPS])
    split = _split_column(table, free)
    free = [name for name in free if name not in (group, split) and _may_be_label(name, table.columns[name])]
    if wanted_label == "none":
        return Columns(file_columns[0], None, split, group, [])
    label = wanted_label if wanted_label != "auto" else _label_column(table, free)
    return Columns(file_columns[0], label, split, group, free)


def is_one_to_one(first: Sequence[str], second: Sequence[str]) -> bool:
    """Return whether each value of one column always has the same value of the other beside it, and the reverse."""
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def splits(table: Table, column: str) -> list[str]:
    """Return the split of each row: `train`, `validation` or `test`; empty for another word."""
    meanings = {cell: _split(cell) for cell in set(table.columns[column])}
    return [meanings[cell] for cell in table.columns[column]]


def _label_column(table: Table, names: list[str]) -> str | None:
    """Return the column named as one with labels; if several name the same classes, the one with words."""
    known = [name for name in names if _plain(name) in _LABELS]
    if len(known) > 1 and all(is_one_to_one(table.columns[known[0]], table.columns[name]) for name in known):
        words = [name for name in known if not all(cell.isdecimal() for cell in table.columns[name])]
        return (words or known)[0]
    return _only(known)


def _split_column(table: Table, names: list[str]) -> str | None:
    """Return the column that only has names of splits.

    Raises:
        UserError: several have, or a column named `split` has other words.
    """
    found = [name for name in names if table.columns[name] and all(map(_split, set(table.columns[name])))]
    if len(found) > 1 and not all(splits(table, name) == splits(table, found[0]) for name in found):
        raise UserError(f"{table.name}: the columns {found} have different splits", "rename or remove one of them")
    for name in names:
        if _plain(name) == "split" and not found:
            other = next((cell for cell in table.columns[name] if not _split(cell)), "")
            raise UserError(
                f"{table.name}: expected train, validation or test in the column {name}, found {other!r}",
                "correct it, or rename the column if it has something else",
            )
    return found[0] if found else None


def _split(cell: str) -> str:
    split, other_words = split_of(cell)
    return split if split in _SPLITS and not other_words else ""


def _may_be_label(name: str, cells: list[str]) -> bool:
    """Return whether a column may have classes: by its name, or because values are there more than once."""
    return _plain(name) in _LABELS or len(set(cells)) < len(cells)


def _plain(name: str) -> str:
    """Return a name in lower case, with spaces for other characters."""
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None
