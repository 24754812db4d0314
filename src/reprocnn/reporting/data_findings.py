"""Describe what a person should look at in the data: copies, and copies with different labels."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.examples import Examples
from reprocnn.artifacts.label_errors import LabelErrors
from reprocnn.artifacts.split import Split
from reprocnn.evaluation.labelled_copies import labelled_copies

_MOST = 12
"""Conflicts that the report shows."""


class Copied(NamedTuple):
    """An image that is a copy of another one."""

    file: str
    """Name of its file."""
    split: str
    """`training` or `test`."""
    label: str
    """Class name of its label."""
    pixels: NDArray[np.uint8] | None
    """uint8 (height, width, channels), 0-255; None for a test image that no artifact has."""


class Copies(NamedTuple):
    """Pairs of copies in a data set."""

    within: Mapping[str, int]
    """Where both images of a pair are, in words -> the number of these pairs; without those that have none."""
    n_equal: int
    """Number of pairs with equal pixels."""
    n_conflicts: int
    """Number of pairs with different labels."""
    conflicts: list[tuple[Copied, Copied, str]]
    """The most similar pairs with different labels, and how similar they are, in words."""


def test_images(examples: Examples, label_errors: LabelErrors) -> dict[str, NDArray[np.uint8]]:
    """Return file -> uint8 (height, width, channels), 0-255, of the test images that evaluate kept."""
    return {
        file: image
        for rows, images in (examples, label_errors)
        for file, image in zip(rows["file"], images, strict=False)  # the label errors have fewer images than rows
    }


def copies(
    pairs: pd.DataFrame,
    training: Split,
    files: Sequence[str],
    predictions: pd.DataFrame,
    *,
    shown: Mapping[str, NDArray[np.uint8]],
    class_names: Sequence[str],
) -> Copies:
    """Count pairs of copies, and describe those with different labels.

    Args:
        pairs: pairs of copies, as `read_copies` returns them.
        training: the raw training images, those of the validation split included.
        files: their files.
        predictions: the predictions for all test images, as `read_predictions` returns them.
        shown: file -> image, of some test images, as `test_images` returns them.
        class_names: the class name of each label.
    """
    n, all_files = len(files), [*files, *predictions["file"]]
    number = {name: label for label, name in enumerate(class_names)}
    test_labels = np.array([number[name] for name in predictions["actual"]], np.int64)
    labels = np.concatenate([training.labels, test_labels])
    found = labelled_copies(pairs, all_files, labels)

    def image(row: int) -> Copied:
        pixels = np.asarray(training.images[row]) if row < n else shown.get(all_files[row])
        return Copied(all_files[row], "training" if row < n else "test", class_names[labels[row]], pixels)

    conflicts = found[found["kind"] == "conflict"]
    rows = conflicts[["first", "second", "reason"]].head(_MOST).itertuples(index=False)
    return Copies(
        within=_where(found, n),
        n_equal=int((pairs["kind"] == "duplicate").sum()),
        n_conflicts=len(conflicts),
        conflicts=[(image(first), image(second), reason) for first, second, reason in rows],
    )


def _where(pairs: pd.DataFrame, n: int) -> dict[str, int]:
    """Count pairs by where their images are. The rows 0 to n - 1 are training images, and first is below second."""
    counts = {
        "within training": int((pairs["second"] < n).sum()),
        "within test": int((pairs["first"] >= n).sum()),
        "across training and test": int(((pairs["first"] < n) & (pairs["second"] >= n)).sum()),
    }
    return {where: count for where, count in counts.items() if count}
