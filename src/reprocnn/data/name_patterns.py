"""Find the class or the group of images in their paths, by a regular expression."""

import re
from collections.abc import Sequence
from pathlib import Path

from reprocnn.data.folder_tree import first_few
from reprocnn.data.layout import Labels, Layout, composed, is_image, lay_out, refuse_wrong_splits, split_in_path
from reprocnn.errors import UserError

_PROPOSALS = (
    r"([^/]+)[._ -]\d+[^/]*\.\w+$",  # cat.123.jpg, american_bulldog_12.jpg
    r"([^/]+?)[._ -]*\(\d+\)",  # cat (12).jpg
    r"([^/\d]+)\d+\.\w+$",  # cat12.jpg
    r"\d+[._ -]+([^/\d]+)\.\w+$",  # 12_cat.jpg
    r"\d+[._ -]+([^/\d]+?)[._ -]*\d+\.\w+$",  # 12_cat_1.jpg
)
_MIN_PER_CLASS = 2


def read_class_pattern(source: Path, files: Sequence[str], pattern: str) -> Layout:
    """Take the class of each image from its path, and the split from folders such as train/ above it.

    Args:
        source: the directory or archive, for the messages.
        files: the paths of all files in it, with `/` as separator.
        pattern: a regular expression with one group, or with a group named `class`.

    Raises:
        UserError: there are no images, some do not match, or a class has no training images.
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


def propose_class_pattern(images: Sequence[str]) -> str | None:
    """Return a pattern that finds at least two classes with several images each in the paths of images, or None."""
    for pattern in _PROPOSALS:
        classes = [_find(pattern, "class", image) for image in images]
        if all(classes) and 2 <= len(set(classes)) <= len(images) / _MIN_PER_CLASS:
            return pattern.removesuffix(r"\.\w+$")
    return None


def in_shell(key: str, pattern: str) -> str:
    """Return the option of `dvc exp run` for a pattern, in single quotes for DVC and double quotes for the shell."""
    for_dvc = pattern.replace("'", r"\'")
    for_shell = re.sub(r'([$`"])', r"\\\1", for_dvc)
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
