"""Divide a data set into a training split, of which preprocess later takes the validation split, and a test split."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.corrections import Correction
from reprocnn.artifacts.dataset import DatasetCard
from reprocnn.data.copy_groups import copy_groups
from reprocnn.data.corrections import correct
from reprocnn.data.raw import RawData
from reprocnn.data.splits import Draw, group_numbers, held_out, proportions
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams, SplitBy

_MAX_CLASSES = 20
"""With more classes than this, the image counts of only some classes are printed."""


class Division(NamedTuple):
    """A data set and the rows of its two splits."""

    data: RawData
    """The raw data with corrected labels, N images."""
    train: NDArray[np.int64]
    """int64 (n,), ascending, 0 to N - 1."""
    test: NDArray[np.int64]
    """int64 (m,), ascending, 0 to N - 1."""
    messages: list[str]
    """How the data were divided and corrected, for the user."""


def divide(
    data: RawData, copies: pd.DataFrame, params: DownloadParams, corrections: Mapping[str, Correction]
) -> Division:
    """Take the test split of the source, or draw one, and then apply the corrections.

    Args:
        data: the raw data.
        copies: the pairs of copies among its images, as `find_copies` returns them.
        params: if the source has no test split, `test_fraction` of its images, drawn with `split_seed` and kept
            together as `split_by` says, become the test split.
        corrections: file name -> its correction.

    Raises:
        UserError: the images can't be divided like this, or a class has no training image.
    """
    groups, messages = _groups(data, copies, params.split_by), []
    given = np.asarray(data.given, dtype=str)
    is_test = given == "test"
    if not is_test.any():
        free = np.flatnonzero(given != "validation")
        draw = Draw("test_fraction", params.test_fraction, params.split_seed)
        is_test[free] = held_out(data.labels[free], data.class_names, draw, None if groups is None else groups[free])
        messages.append(f"test split: {proportions(data.labels, is_test)}, split_by {params.split_by}")
    corrected = correct(data, is_test, corrections)
    train, test = (np.flatnonzero(corrected.kept & chosen) for chosen in (~is_test, is_test))
    data = replace(data, labels=corrected.labels)
    _refuse_missing_classes(data, train)
    messages += corrected.messages + _describe_copies(copies, train, test)
    if data.skipped:
        messages.append(f"skipped {len(data.skipped)} file(s) that can't be read (unreadable: skip), see the report")
    return Division(data, train, test, messages)


def _describe_copies(copies: pd.DataFrame, train: NDArray[np.int64], test: NDArray[np.int64]) -> list[str]:
    """Say how many images are copies, and how many test images are copies of training images."""
    if not len(copies):
        return []
    pairs = copies[["first", "second"]].to_numpy()
    in_train, in_test = np.isin(pairs, train), np.isin(pairs, test)
    across = pairs[in_test & in_train[:, ::-1]]
    n = len(np.unique(across))
    message = f"copies: {len(pairs)} pair(s) of images; {n} test image(s) are copies of training images"
    return [message + (", see `split_by` in params.yaml" if n else "")]


def name_copies(copies: pd.DataFrame, division: Division) -> pd.DataFrame:
    """Return the pairs of copies in the two splits, with the names of their files instead of their rows.

    Args:
        copies: as `find_copies` returns them.
        division: the data set and its splits.
    """
    kept = np.concatenate([division.train, division.test])
    found = copies[copies["first"].isin(kept) & copies["second"].isin(kept)]
    files = np.array(division.data.files, dtype=object)
    return found.assign(first=files[found["first"].to_numpy()], second=files[found["second"].to_numpy()])


def _groups(data: RawData, copies: pd.DataFrame, split_by: SplitBy) -> NDArray[np.int64] | None:
    """Return the group of each image, int64 (N,); None if each is a group of its own.

    Raises:
        UserError: the images have no groups.
    """
    if split_by == "image":
        return None
    if split_by == "near_duplicate":
        return copy_groups(copies, len(data.labels))
    if not any(data.groups):
        raise UserError(
            "split_by: group needs a group for each image, found none",
            "set group_pattern or group_column in params.yaml, or `-S split_by=image`",
        )
    return group_numbers(data.groups)


def _refuse_missing_classes(data: RawData, train: NDArray[np.int64]) -> None:
    counts = np.bincount(data.labels[train], minlength=len(data.class_names))
    if empty := [name for name, count in zip(data.class_names, counts, strict=True) if not count]:
        raise UserError(
            f"expected training images of every class, found none of class {empty[0]!r}",
            "add images of it, or remove the class",
        )


def card(division: Division, name: str) -> DatasetCard:
    """Return the description of a data set: its name, classes, image shape and the sizes of its splits.

    Args:
        division: the data set and its splits.
        name: the name of the data set.
    """
    data = division.data
    height, width, channels = data.images.shape[1:]
    sizes = (len(division.train), len(division.test))
    skipped = tuple(f"{file}: {cause}" for file, cause in sorted(data.skipped.items()))
    return DatasetCard(name, tuple(data.class_names), (height, width, channels), *sizes, skipped, data.white)


def describe_counts(division: Division) -> list[str]:
    """List the number of images per class; with many classes, only of the first ones, then the range of the rest."""
    labels, names = division.data.labels, division.data.class_names
    splits = (labels[division.train], labels[division.test])
    train, test = (np.bincount(split, minlength=len(names)).tolist() for split in splits)
    rows = list(zip(train, test, names, strict=True))
    shown = len(rows) if len(rows) <= _MAX_CLASSES else _MAX_CLASSES // 2
    lines = [f"{len(rows)} classes:", "   train    test  class"]
    lines += [f"{n_train:8}{n_test:8}  {name}" for n_train, n_test, name in rows[:shown]]
    if rows[shown:]:
        train, test = train[shown:], test[shown:]
        ranges = f"{min(train)} to {max(train)} training and {min(test)} to {max(test)} test images"
        lines.append(f"                  and {len(rows) - shown} more, each with {ranges}")
    return lines
