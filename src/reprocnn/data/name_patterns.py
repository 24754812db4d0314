"""Find the class or the group of images in their paths, by a regular expression."""

import re
from collections.abc import Sequence
from pathlib import Path

from reprocnn.data.folder_tree import first_few
from reprocnn.data.layout import (
    Labels,
    Layout,
    composed,
    is_image,
    lay_out,
    may_lack_labels,
    refuse_wrong_splits,
    split_in_path,
)
from reprocnn.data.split_names import is_container, split_of
from reprocnn.errors import UserError

_PROPOSALS = (
    r"([^/\d(]+?) ?\(\d",  # cat (12).jpg
    r"([^/\d]+)[._ -]\d",  # cat.123.jpg, american_bulldog_12.jpg
    r"([^/\d]+)\d+\.",  # cat12.jpg
    r"\d[._ -]([^/\d]+)[._ -]",  # 12_cat.jpg
)
_MIN_PER_CLASS = 2


def read_class_pattern(source: Path, files: Sequence[str], pattern: str) -> Layout:
    """Take the class of each image from its path, and the split from folders such as train/ above it.

    Args:
        source: the directory or archive, for the messages.
        files: the paths of all files in it, with `/` as separator.
        pattern: a regular expression with one group, or with a group named `class`.

    Raises:
        UserError: the pattern finds nothing in some paths, or a class only has test or validation images.
    """
    images = [name for name in files if is_image(name)]
    labels = [
        Labels(name, split_in_path(image), "") if name else None
        for image, name in ((image, _find(pattern, "class", image)) for image in images)
    ]
    layout, missing = lay_out(images, labels, [f"classes from the file names: {pattern}"])
    if missing or not layout.names:
        raise _no_match(source, missing or images, "class_pattern", pattern)
    refuse_wrong_splits(source, layout)
    return layout


def groups_of(source: Path, names: Sequence[str], pattern: str) -> list[str]:
    """Take the group of each image from its path.

    Args:
        source: the directory or archive, for the messages.
        names: the paths of the images, with `/` as separator.
        pattern: a regular expression with one group, or with a group named `group`.

    Raises:
        UserError: some images do not match.
    """
    groups = [_find(pattern, "group", name) for name in names]
    if missing := [name for name, group in zip(names, groups, strict=True) if not group]:
        raise _no_match(source, missing, "group_pattern", pattern)
    return groups


def propose_class_pattern(images: Sequence[str]) -> tuple[str, list[str]] | None:
    """Find a pattern that finds at least two classes with several images each in the names of images.

    Args:
        images: the paths of all images.

    Returns:
        The pattern and the classes that it finds; None if the images are in folders that may be classes, or if no
        pattern fits all names.
    """
    named = [image for image in images if not may_lack_labels(image)]
    folders = {image.rpartition("/")[0].rpartition("/")[2] for image in named}
    if len(folders) > 1 and not all(is_container(folder) or split_of(folder)[0] for folder in folders):
        return None
    for pattern in _PROPOSALS:
        classes = [_find(pattern, "class", image) for image in named]
        if all(name[:1].isalnum() for name in classes) and 2 <= len(set(classes)) <= len(named) / _MIN_PER_CLASS:
            return pattern, sorted(set(classes))
    return None


def in_shell(key: str, pattern: str) -> str:
    """Return the option of `dvc exp run` for a pattern, in single quotes for DVC and double quotes for the shell."""
    for_dvc = re.sub(r"(\\+)(?='|$)", r"\1\1", pattern).replace("'", r"\'")
    for_shell = re.sub(r'\\(?=[$`"\\])|[$`"]', r"\\\g<0>", for_dvc)
    return f"-S \"{key}='{for_shell}'\""


def _find(pattern: str, group: str, path: str) -> str:
    """Return the text that the pattern finds in a path; empty if it finds none."""
    regex = re.compile(pattern)
    match = regex.search(composed(path))
    return (match[group if group in regex.groupindex else 1] or "").strip() if match else ""


def _no_match(source: Path, names: Sequence[str], key: str, pattern: str) -> UserError:
    return UserError(
        f"{source}: {key} finds nothing in {len(names)} of the paths: {first_few(list(names))}",
        f"change the pattern, which is {pattern}; or move these files away",
    )
