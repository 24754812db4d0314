"""Write and read files.csv, which names the file of each image of a raw split."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from reprocnn.artifacts.files import unexpected, write_bytes

_NAME = "files.csv"
_COLUMNS = ["row", "file", "group", "split", "image"]


class ImageFiles(NamedTuple):
    """The files of the images of a raw split, in the order of its images.npy."""

    file: list[str]
    """Path in the folder or archive; `name#row` for an image in a file with many."""
    group: list[str]
    """Group of the image, such as the patient or the film; empty: none."""
    split: list[str]
    """Split in which the source has the image: `train`, `validation`, `test`, or empty."""
    image: list[str]
    """Hash of the pixels, as `raw.image_hash` returns it."""


def write_image_files(split: Path, files: ImageFiles) -> None:
    """Write files.csv into the folder of a raw split."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((row, *values) for row, values in enumerate(zip(*files, strict=True)))
    write_bytes(split / _NAME, text.getvalue().encode("utf-8", "surrogateescape"))


def read_image_files(split: Path) -> ImageFiles:
    """Read files.csv of a raw split.

    Raises:
        UserError: the file does not exist or lacks a column; the data are of an older version of this project.
    """
    path = split / _NAME
    if not path.is_file():
        raise unexpected(path, "a list of the image files", "none", "download")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rows = csv.reader(file)
    if header != _COLUMNS:
        raise unexpected(path, f"the columns {', '.join(_COLUMNS)}", ", ".join(header), "download")
    _, *columns = ([list(column) for column in zip(*rows, strict=True)]) if rows else [[] for _ in _COLUMNS]
    return ImageFiles(*columns)
