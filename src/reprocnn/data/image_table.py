"""Read the classes, splits and groups of images from a table in the user's folder or archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reprocnn.data.columns import Columns, find_columns, find_file_columns, splits
from reprocnn.data.file_names import FileNames
from reprocnn.data.folder_tree import first_few
from reprocnn.data.layout import composed
from reprocnn.data.split_names import split_of
from reprocnn.data.table import Table
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams

IGNORE_TABLES = "`-S file_column=none` ignores all tables"
"""How a table that isn't wanted is ignored, for the messages."""
_SPLIT = "split"


@dataclass(frozen=True)
class ImageTable:
    """A table with a row for images.

    Args:
        files: the paths of the files that it was read from.
        table: its content.
        columns: what its columns mean.
        rows: number of an image, from 0 -> its row.
        repeated: the number of rows that repeat another one.
    """

    files: list[str]
    table: Table
    columns: Columns
    rows: Mapping[int, int]
    repeated: int

    def column(self, name: str) -> list[str]:
        """Return the texts of a column, in Unicode's composed form."""
        return [composed(cell) for cell in self.table.columns[name]]

    def describe(self) -> str:
        """Say in one line which columns were read."""
        meanings = {"class": self.columns.label, "split": self.columns.split, "group": self.columns.group}
        words = [f"file from {self.columns.file}"]
        words += [f"{meaning} from {name}" for meaning, name in meanings.items() if name]
        once = f"; {self.repeated} repeated row(s) are used once" if self.repeated else ""
        return f"{' and '.join(self.files)}: {', '.join(words)}{once}"


def find_image_table(
    source: Path, tables: Sequence[Table], images: Sequence[str], params: DownloadParams
) -> ImageTable | None:
    """Find the table that names the images and read it; None if no table does.

    Args:
        source: the directory or archive, for the messages.
        tables: all tables in it.
        images: the paths of all images in it.
        params: `file_column`, `label_column` and `group_column`.

    Raises:
        UserError: several tables name the images, or a row names no image, several images, or one that another row
            describes otherwise.
    """
    names = FileNames(images)
    found = [(table, find_file_columns(table, names, params.file_column)) for table in tables]
    found = [(table, columns) for table, columns in found if columns and _has_wanted(table, params)]
    if not found:
        return None
    table, file_columns = found[0] if len(found) == 1 else _combine(source, [table for table, _ in found], found[0][1])
    _refuse_missing_header(source, table, names)
    columns = find_columns(table, file_columns, params.label_column, params.group_column)
    rows, repeated = _match(source, table, columns, names, images)
    return ImageTable([table.name for table, _ in found], table, columns, rows, repeated)


def _has_wanted(table: Table, params: DownloadParams) -> bool:
    wanted = {params.label_column, params.group_column} - {"auto", "none"}
    return wanted <= table.columns.keys()


def _combine(source: Path, tables: list[Table], file_columns: list[str]) -> tuple[Table, list[str]]:
    """Combine tables such as train.csv and test.csv into one, with the names as splits.

    Raises:
        UserError: the tables are not one table per split with the same columns.
    """
    stems = [table.name.rpartition("/")[2].rpartition(".")[0] for table in tables]
    meanings = [split_of(stem) for stem in stems]
    same = all(table.columns.keys() == tables[0].columns.keys() for table in tables)
    same = same and len({table.folder for table in tables}) == 1
    distinct = len(set(meanings)) == len(tables) and all(split and split != "unclear" for split, _ in meanings)
    if not (same and distinct and len({words for _, words in meanings}) == 1):
        described = "\n".join(f"    {table.describe()}" for table in tables)
        raise UserError(
            f"{source}: {len(tables)} tables name images:\n{described}",
            f"move all but one away; or set `label_column` to a column that only one of them has; {IGNORE_TABLES}; or, "
            "if they are one table per split, name them train.csv, validation.csv and test.csv, with the same columns",
        )
    columns = {name: [cell for table in tables for cell in table.columns[name]] for name in tables[0].columns}
    if _SPLIT not in columns:
        columns[_SPLIT] = [
            str(split) for table, (split, _) in zip(tables, meanings, strict=True) for _ in range(len(table))
        ]
    return Table(tables[0].name, columns), file_columns


def _refuse_missing_header(source: Path, table: Table, names: FileNames) -> None:
    if first := [name for name in table.columns if names.has_suffix(name) and names.find(name, table.folder)]:
        raise UserError(
            f"{source}: the first line of {table.name} names the image {first[0]}, not the columns",
            "put a line above it, for example file,label",
        )


def _match(
    source: Path, table: Table, columns: Columns, names: FileNames, images: Sequence[str]
) -> tuple[dict[int, int], int]:
    """Find the image of each row; return number of the image -> row, and the number of repeated rows."""
    rows: dict[int, int] = {}
    missing: list[str] = []
    unclear: list[str] = []
    repeated = 0
    meant = [table.columns[name] for name in (columns.label, columns.split, columns.group) if name]
    for row, value in enumerate(table.columns[columns.file]):
        found = names.find(value, table.folder)
        if len(found) != 1:
            (unclear if found else missing).append(value)
            continue
        first = rows.setdefault(found[0], row)
        repeated += first != row
        if different := [cells for cells in meant if cells[first] != cells[row]]:
            raise UserError(
                f"{source}: {table.name} has {images[found[0]]} twice, with {different[0][first]!r} and "
                f"{different[0][row]!r}",
                f"remove one of the rows; {IGNORE_TABLES}",
            )
    if missing:
        raise UserError(
            f"{source}: {len(missing)} row(s) of {table.name} name no image: {first_few(missing)}",
            f"remove these rows, or add the images; {IGNORE_TABLES}",
        )
    if unclear:
        several = [images[number] for number in names.find(unclear[0], table.folder)]
        raise UserError(
            f"{source}: {unclear[0]!r} in {table.name} may be {first_few(several)}",
            f"write the folder and suffix in the column {columns.file}, or move other files away",
        )
    return rows, repeated


def given_splits(source: Path, image_table: ImageTable) -> list[str] | None:
    """Return the split of each row; None if the table has no column with splits.

    Raises:
        UserError: a row has no split.
    """
    if not (column := image_table.columns.split):
        return None
    found = splits(image_table.table, column)
    if "" in found:
        value = image_table.table.columns[column][found.index("")]
        raise UserError(
            f"{source}: expected train, validation or test in the column {column}, found {value!r}", "correct it"
        )
    return found
