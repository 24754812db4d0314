"""Choose how a folder or archive is read: by a pattern for the names, a table, or class folders.

If a table and the folders contradict each other, it is an error, and never a guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reprocnn.data.class_folders import read_class_folders
from reprocnn.data.columns import is_one_to_one
from reprocnn.data.folder_tree import build_tree, first_few
from reprocnn.data.image_table import IGNORE_TABLES, ImageTable, find_image_table, given_splits
from reprocnn.data.layout import (
    LAYOUT,
    Labels,
    Layout,
    is_image,
    lay_out,
    refuse_wrong_splits,
    split_in_path,
)
from reprocnn.data.name_patterns import groups_of, in_shell, propose_class_pattern, read_class_pattern
from reprocnn.data.source import Source
from reprocnn.data.table import Table, read_table
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams


def choose_layout(source: Source, params: DownloadParams) -> Layout:
    """Find the class, split and group of each image.

    Args:
        source: the directory or archive.
        params: `class_pattern` reads the classes from the names; `file_column`, `label_column` and `group_column` name
            columns of a table; `group_pattern` reads the groups from the paths.

    Raises:
        UserError: the layout is none of these, wrong or ambiguous.
    """
    images = [name for name in source.files if is_image(name)]
    if not images:
        raise UserError(f"{source.path}: no images found", f"use {LAYOUT}")
    if params.class_pattern != "none":
        layout = read_class_pattern(source.path, source.files, params.class_pattern)
    else:
        layout = _from_table_or_folders(source, images, params)
    if params.group_pattern == "none":
        return layout
    groups = groups_of(source.path, layout.names, params.group_pattern)
    message = f"{len(set(groups))} groups from the file names: {params.group_pattern}"
    return replace(layout, groups=groups, messages=[*layout.messages, message])


def _from_table_or_folders(source: Source, images: list[str], params: DownloadParams) -> Layout:
    tables, unreadable = _tables(source, params)
    table = find_image_table(source.path, tables, images, params) if tables else None
    folders = _class_folders(source, table.files if table else [])
    if table is None:
        _refuse_unused_columns(source, tables, params)
        if isinstance(folders, Layout):
            return folders
        raise unreadable or _nothing_found(folders, images, tables)
    if isinstance(folders, Layout) and params.label_column in ("auto", "none"):
        return _agreed(source, table, folders, images)
    if isinstance(folders, UserError) and params.label_column == "none":
        raise folders
    return _from_table(source, images, table)


def _class_folders(source: Source, without: Sequence[str]) -> Layout | UserError:
    """Return the layout by class folders, or the reason why it is wrong or ambiguous.

    Args:
        source: the directory or archive.
        without: the tables that are read.
    """
    files = [name for name in source.files if name not in without]
    folders = [name for name in source.folders if not any(table.startswith(f"{name}/") for table in without)]
    try:
        layout = read_class_folders(source.path, files, folders)
    except UserError as error:
        return error
    if len(names := set(layout.classes)) < 2:
        drawing = build_tree([name for name in files if is_image(name)]).draw()
        problem = f"{source.path}: expected at least two classes, found only {names.pop()!r}; it contains\n{drawing}"
        return UserError(problem, f"use {LAYOUT}")
    return layout


def _tables(source: Source, params: DownloadParams) -> tuple[list[Table], UserError | None]:
    """Read all tables; return also the error of the first one that can't be read."""
    tables, first = [], None
    for name, content in source.tables.items() if params.file_column != "none" else ():
        try:
            tables.append(read_table(source.path, name, content))
        except UserError as error:
            first = first or UserError(error.problem, f"{error.fix}; {IGNORE_TABLES}")
    return tables, first


def _refuse_unused_columns(source: Source, tables: list[Table], params: DownloadParams) -> None:
    for key in ("file_column", "label_column", "group_column"):
        if (value := getattr(params, key)) not in ("auto", "none"):
            described = "".join(f"\n    {table.describe()}" for table in tables) or " no table"
            raise UserError(
                f"{source.path}: {key}: {value}, but no table has it and a column with names of images; found"
                f"{described}",
                f"use the name of a column, or `-S {key}=auto`",
            )


def _nothing_found(error: UserError, images: list[str], tables: list[Table]) -> UserError:
    """Return the error for a source that has no layout: with the tables in it, or a pattern that fits the names."""
    problem, fix = error.problem, error.fix
    if tables:
        problem += "".join(f"\n    {table.describe()}, of which none has names of images" for table in tables[:3])
        fix += f"; if {tables[0].name} has the classes, add a column `file` with the names of the images"
    if found := propose_class_pattern(images):
        pattern, classes = found
        fix = f"if the classes are {first_few(classes)}, `{in_shell('class_pattern', pattern)}`; else {fix}"
    return UserError(problem, fix)


def _from_table(source: Source, images: list[str], table: ImageTable) -> Layout:
    """Take the classes from the table, and the splits from the folders if it has none."""
    label = table.columns.label or (table.columns.others[0] if len(table.columns.others) == 1 else None)
    if label is None:
        others = first_few([f"`-S label_column={name}`" for name in table.columns.others], 6)
        raise UserError(
            f"{source.path}: which column has the classes? Found {table.table.describe()}",
            others or "add a column `label` with the class of each image",
        )
    table = replace(table, columns=replace(table.columns, label=label))
    classes = table.column(label)
    _refuse_missing_labels(source, table, classes)
    splits, groups = given_splits(source.path, table), _groups(table)
    labels = [
        None
        if (row := table.rows.get(number)) is None
        else Labels(classes[row], splits[row] if splits else split_in_path(image), groups[row])
        for number, image in enumerate(images)
    ]
    layout, missing = lay_out(images, labels, [table.describe()])
    if missing:
        raise _without_row(source, table, missing)
    refuse_wrong_splits(source.path, layout)
    return layout


def _agreed(source: Source, table: ImageTable, folders: Layout, images: list[str]) -> Layout:
    """Use a table beside class folders: it may repeat the classes, and add splits and groups.

    Raises:
        UserError: it has other classes or splits than the folders, or leaves images out although it has splits or
            groups.
    """
    row_of = {images[number]: row for number, row in table.rows.items()}
    label = _same_classes(source, table, folders, row_of)
    table = replace(table, columns=replace(table.columns, label=label))
    message = table.describe() + ", as the folders" * bool(label)
    layout = replace(folders, messages=[*folders.messages, message])
    if not (table.columns.split or table.columns.group):
        return layout
    if missing := [name for name in folders.names if name not in row_of]:
        raise _without_row(source, table, missing)
    rows = [row_of[name] for name in folders.names]
    if splits := given_splits(source.path, table):
        layout = replace(layout, splits=[splits[row] for row in rows])
        _refuse_other_splits(source, table, folders, layout.splits)
        refuse_wrong_splits(source.path, layout)
    groups = _groups(table)
    return replace(layout, groups=[groups[row] for row in rows])


def _same_classes(source: Source, table: ImageTable, folders: Layout, row_of: Mapping[str, int]) -> str | None:
    """Return the column that has the same classes as the folders; None if no column may have classes."""
    label, columns = table.columns.label, table.columns
    classes = [name for image, name in zip(folders.names, folders.classes, strict=True) if image in row_of]
    rows = [row_of[image] for image in folders.names if image in row_of]
    for name in [label] if label else columns.others:
        cells = table.column(name)
        if is_one_to_one([cells[row] for row in rows], classes):
            return name
    if not (label or columns.others):
        return None
    shown = first_few([f"`-S label_column={name}`" for name in ([label] if label else columns.others)])
    raise UserError(
        f"{source.path}: the classes may be the folders ({first_few(sorted(set(folders.classes)))}) or a column of "
        f"{table.table.describe()}",
        f"{shown}; or `-S label_column=none` for the folders",
    )


def _refuse_other_splits(source: Source, table: ImageTable, folders: Layout, splits: list[str]) -> None:
    for name, in_folder, in_table in zip(folders.names, folders.splits, splits, strict=True):
        if in_folder not in ("all", in_table):
            raise UserError(
                f"{source.path}: {name} is in the split {in_table} by {table.files[0]}, and in {in_folder} by its "
                "folder",
                f"correct the table or the folders; {IGNORE_TABLES}",
            )


def _groups(table: ImageTable) -> list[str]:
    return table.column(table.columns.group) if table.columns.group else [""] * len(table.table)


def _refuse_missing_labels(source: Source, table: ImageTable, classes: list[str]) -> None:
    if missing := [table.table.columns[table.columns.file][row] for row, name in enumerate(classes) if not name]:
        raise UserError(
            f"{source.path}: {len(missing)} row(s) of {table.files[0]} have no {table.columns.label}: "
            f"{first_few(missing)}",
            "fill in the label, or remove the rows and their images",
        )


def _without_row(source: Source, table: ImageTable, images: list[str]) -> UserError:
    names = " and ".join(table.files)
    return UserError(
        f"{source.path}: {len(images)} image(s) have no row in {names}: {first_few(images)}",
        f"add rows for them, or move them away; {IGNORE_TABLES}",
    )
