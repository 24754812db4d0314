"""Apply the user's corrections: leave images out, and change labels."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.corrections import EXCLUDE, RELABEL, Correction
from reprocnn.data.raw import RawData
from reprocnn.errors import UserError


class Corrected(NamedTuple):
    """The effect of the corrections on a data set of N images."""

    labels: NDArray[np.int64]
    """int64 (N,), the corrected labels."""
    kept: NDArray[np.bool_]
    """bool (N,), False for the images to leave out."""
    messages: list[str]
    """What was changed, for the user; empty without corrections."""


def correct(data: RawData, is_test: NDArray[np.bool_], corrections: Mapping[str, Correction]) -> Corrected:
    """Apply corrections after the test split was drawn, so that they do not change which images are in it.

    Args:
        data: the raw data, N images.
        is_test: bool (N,), True for the images of the test split.
        corrections: file name -> its correction. One for a test image is applied only if it says so. Files that the
            data set does not have are ignored, because the corrections of several data sets may be in one file.

    Raises:
        UserError: a label is not a class name.
    """
    label_of = {name: label for label, name in enumerate(data.class_names)}
    labels, kept, refused = data.labels.copy(), np.ones(len(data.labels), dtype=bool), 0
    found = [(row, file) for row, file in enumerate(data.files) if file in corrections]
    for row, file in found:
        correction = corrections[file]
        if is_test[row] and not correction.in_test:
            refused += 1
        elif correction.label is None:
            kept[row] = False
        else:
            labels[row] = _label(file, correction.label, label_of)
    if not corrections:
        return Corrected(labels, kept, [])
    changed = int((labels != data.labels).sum())
    messages = [f"left out {int((~kept).sum())} image(s) ({EXCLUDE}), changed the label of {changed} ({RELABEL})"]
    if refused:
        messages.append(f"did not apply {refused} correction(s) of test images: their split is not `test`")
    if unknown := len(corrections) - len(found):
        messages.append(f"ignored {unknown} correction(s) of images that this data set lacks")
    return Corrected(labels, kept, messages)


def _label(file: str, name: str, label_of: Mapping[str, int]) -> int:
    if name not in label_of:
        few = ", ".join(list(label_of)[:10])
        raise UserError(f"{RELABEL}: {file}: {name!r} is not a class", f"use one of the classes: {few}")
    return label_of[name]
