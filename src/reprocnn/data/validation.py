"""Take the validation split of the source, or draw one from the training images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.image_files import ImageFiles
from reprocnn.data.copy_groups import copy_groups
from reprocnn.data.splits import Draw, group_numbers, held_out, proportions
from reprocnn.params import PreprocessParams


def validation_images(
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    files: ImageFiles,
    copies: pd.DataFrame,
    params: PreprocessParams,
) -> tuple[NDArray[np.bool_], str]:
    """Choose the validation images among the training images.

    Args:
        labels: int64 (N,), 0 to number of classes - 1.
        class_names: the class name of each label, in label order.
        files: the file, group and given split of each image.
        copies: pairs of copies, as `read_copies` returns them; those with images of another split are ignored.
        params: if the source has no validation split, `validation_fraction` of the images, drawn with `split_seed` and
            kept together as `split_by` says, become the validation split.

    Returns:
        bool (N,), True for the validation images; and a message that says how they were chosen.

    Raises:
        UserError: a class has fewer than two images or groups, or a split would have fewer images than classes.
    """
    given = np.array([split == "validation" for split in files.split], dtype=bool)
    if given.any():
        return given, "validation split: as in the source"
    draw = Draw("validation_fraction", params.validation_fraction, params.split_seed)
    groups = None
    if params.split_by == "group":
        groups = group_numbers(files.group)
    elif params.split_by == "near_duplicate":
        groups = copy_groups(_rows(copies, files.file), len(labels))
    drawn = held_out(labels, class_names, draw, groups)
    return drawn, f"validation split: {proportions(labels, drawn)}, split_by {params.split_by}"


def _rows(copies: pd.DataFrame, files: Sequence[str]) -> pd.DataFrame:
    """Return the pairs of which both files are among `files`, with their rows there instead of their names."""
    row_of = {file: row for row, file in enumerate(files)}
    found = copies[copies["first"].isin(row_of) & copies["second"].isin(row_of)]
    return found.assign(first=found["first"].map(row_of), second=found["second"].map(row_of))
