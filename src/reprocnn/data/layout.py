"""Layout: the class, split and group of each image in the user's folder or archive."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from reprocnn.data.folder_tree import first_few
from reprocnn.data.split_names import is_unlabelled, split_of
from reprocnn.errors import UserError

LAYOUT = (
    "one folder per class, for example cats/*.jpg and dogs/*.jpg, with or without train/ and test/ above them; "
    "data/README.md has other layouts"
)

OTHER_SUFFIXES = (
    *(
        ".txt",
        ".md",
        ".rst",
        ".csv",
        ".tsv",
        ".json",
        ".xml",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".html",
        ".htm",
        ".pdf",
    ),
    *(".doc", ".docx", ".xls", ".xlsx", ".tex", ".bib", ".mat", ".pkl", ".parquet", ".py", ".ipynb", ".sh", ".log"),
)
"""Suffixes of files that many data sets have beside their images. They are ignored outside class folders."""


@dataclass(frozen=True)
class Layout:
    """The class, split and group of each image.

    Args:
        names: the paths of the images, in the order of the source.
        classes: the class name of each image.
        splits: `train`, `validation` or `test` for each image; `all` if it may come into any split.
        groups: the group of each image; empty: none.
        messages: how the layout was understood, for the user.
    """

    names: list[str]
    classes: list[str]
    splits: list[str]
    groups: list[str]
    messages: list[str]


class Labels(NamedTuple):
    """What is known of an image."""

    class_name: str
    split: str
    """`train`, `validation`, `test`, or `all` if it may come into any split."""
    group: str
    """Empty: none."""


def composed(text: str) -> str:
    """Return a text in Unicode's composed form, so that both encodings of `é` are the same."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_image(name: str) -> bool:
    """Return whether a file outside class folders may be an image."""
    return not name.lower().endswith(OTHER_SUFFIXES)


def split_in_path(name: str) -> str:
    """Return the split of an image of which the folder names say no class: `all` if no folder is named after a split.

    Args:
        name: the path of the image, with `/` as separator.
    """
    found = (_certain_split(folder) for folder in name.split("/")[:-1])
    return next(filter(None, found), "all")


def lay_out(names: Iterable[str], labels: Sequence[Labels | None], messages: list[str]) -> tuple[Layout, list[str]]:
    """Make a layout of the labels of images whose folders are not their classes.

    Args:
        names: the paths of all images.
        labels: what is known of each of them; None: nothing.
        messages: how the labels were found, for the user.

    Returns:
        The layout of the images with labels, and the images without labels. Those in a folder of unlabelled images are
        in neither of them: a folder in which no image has labels, and which is named after the test split or
        predictions, as in competitions.
    """
    pairs = list(zip(names, labels, strict=True))
    labelled = [(name, found) for name, found in pairs if found is not None]
    with_labels = {name.rpartition("/")[0] for name, _ in labelled}
    unlabelled: list[str] = []
    missing: list[str] = []
    for name, found in pairs:
        if found is None:
            folder = name.rpartition("/")[0]
            ignored = folder not in with_labels and may_lack_labels(name)
            (unlabelled if ignored else missing).append(name)
    if unlabelled:
        folders = sorted({name.rpartition("/")[0] + "/" for name in unlabelled})
        messages = [*messages, f"ignored {len(unlabelled)} image(s) in {first_few(folders)}, which have no class"]
    classes, splits, groups = ([found[i] for _, found in labelled] for i in range(3))
    return Layout([name for name, _ in labelled], classes, splits, groups, messages), missing


def refuse_wrong_splits(source: Path, layout: Layout) -> None:
    """Refuse splits that no model could be trained on: no training images, or none of a class.

    Raises:
        UserError: there are only test or validation images, or a class has only those.
    """
    trained = {name for name, split in zip(layout.classes, layout.splits, strict=True) if split in ("train", "all")}
    if missing := sorted(set(layout.classes) - trained):
        if not trained:
            raise UserError(f"{source}: found no training images", "name the split of some images train")
        names = first_few([repr(name) for name in missing])
        raise UserError(f"{source}: no training images of {names}", "add images of it to the training split")


def may_lack_labels(name: str) -> bool:
    """Return whether an image is in a folder named after the test split or predictions, as in competitions."""
    folders = name.split("/")[:-1]
    return any(_certain_split(folder) == "test" or is_unlabelled(folder) for folder in folders)


@lru_cache(maxsize=1024)
def _certain_split(folder: str) -> str:
    """Return the split that a folder name stands for without doubt; empty if there is none."""
    split, other_words = split_of(folder)
    return split if split and split != "unclear" and not other_words else ""
