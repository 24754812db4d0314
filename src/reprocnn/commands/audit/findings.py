"""Findings of an audit, and the data set that was audited."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.copies import COPIES, read_copies
from reprocnn.artifacts.dataset import DATASET, read_dataset
from reprocnn.artifacts.image_files import read_image_files
from reprocnn.artifacts.split import RAW_TEST, RAW_TRAIN, Split, read_split
from reprocnn.data.validation import validation_images
from reprocnn.errors import UserError
from reprocnn.params import PreprocessParams, load_params

KINDS = {
    "conflict": "copies with different labels",
    "label": "labels that are probably wrong",
    "duplicate": "images with equal pixels",
    "near_duplicate": "images that are copies of each other",
    "blank": "images without contrast",
    "dark": "dark images",
    "bright": "overexposed images",
    "blurred": "blurred images",
    "tiny": "pictures much smaller than image_size",
    "aspect": "long pictures, of which the square crop shows little",
}
"""Kind of finding -> what it is, the most harmful first."""


@dataclass(frozen=True)
class Finding:
    """One image, or two that are copies of each other, to look at.

    Args:
        kind: a key of `KINDS`.
        rows: the images, as rows of the images of an `Audited`.
        score: how likely it is, 0-1.
        reason: what was found, in words.
        suggested: the class to which a wrong label should be changed; None for other kinds.
    """

    kind: str
    rows: tuple[int, ...]
    score: float
    reason: str
    suggested: str | None = None


@dataclass(frozen=True)
class Audited:
    """The data set that was audited: first the training images, then the test images.

    Args:
        name: its name.
        class_names: the class name of each label.
        splits: the two splits.
        labels: int64 (N,), 0 to classes - 1.
        files: the file of each image.
        split: `train`, `validation` or `test` for each image.
        copies: pairs of copies, as `read_copies` returns them.
    """

    name: str
    class_names: tuple[str, ...]
    splits: tuple[Split, Split]
    labels: NDArray[np.int64]
    files: list[str]
    split: NDArray[np.str_]
    copies: pd.DataFrame

    def image(self, row: int) -> NDArray[np.uint8]:
        """Return an image, uint8 (height, width, channels), 0-255."""
        train, test = self.splits
        n = len(train.images)
        return np.asarray(train.images[row] if row < n else test.images[row - n])

    def label(self, row: int) -> str:
        """Return the class name of an image's label."""
        return self.class_names[self.labels[row]]


def read_data() -> Audited:
    """Read the splits that download wrote.

    Raises:
        UserError: download did not run.
    """
    if not (RAW_TRAIN.is_dir() and RAW_TEST.is_dir() and DATASET.is_file() and COPIES.is_file()):
        raise UserError(f"{RAW_TRAIN.parent} lacks the data that download writes", "dvc repro download")
    card, splits = read_dataset(DATASET), (read_split(RAW_TRAIN), read_split(RAW_TEST))
    train, test, copies = read_image_files(RAW_TRAIN), read_image_files(RAW_TEST), read_copies(COPIES)
    names = card.class_names
    held_out, _ = validation_images(splits[0].labels, names, train, copies, load_params(PreprocessParams))
    return Audited(
        name=card.dataset,
        class_names=names,
        splits=splits,
        labels=np.concatenate([split.labels for split in splits]),
        files=train.file + test.file,
        split=np.concatenate([np.where(held_out, "validation", "train"), np.full(len(test.file), "test")]),
        copies=copies,
    )


def to_json(data: Audited, finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON: kind, files, their splits and labels, score, reason, and the suggested label if any."""
    rows = finding.rows
    found: dict[str, Any] = {
        "kind": finding.kind,
        "files": [data.files[row] for row in rows],
        "splits": [str(data.split[row]) for row in rows],
        "labels": [data.label(row) for row in rows],
        "score": round(finding.score, 4),
        "reason": finding.reason,
    }
    return found | ({"suggested": finding.suggested} if finding.suggested else {})
