"""Load the user's own images: a directory or archive (zip, tar) with one folder per class."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.split import rows_per_chunk
from reprocnn.data.archives import ARCHIVES
from reprocnn.data.decoding import read_image
from reprocnn.data.fetch import Places
from reprocnn.data.folder_tree import some
from reprocnn.data.layout import LAYOUT, read_layout
from reprocnn.data.litter import is_litter, is_note
from reprocnn.data.raw import RawData
from reprocnn.data.source import list_source, read_images
from reprocnn.data.splits import held_out
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams

_MOST_CLASSES = 20
"""With more classes than this, messages don't list them one by one."""


def load(params: DownloadParams, _: Places) -> RawData:
    """Load the images at `params.folder`, each cropped to a centred square and resized.

    Args:
        params: `folder` is a directory or an archive; if a directory has only one archive, that archive is read.
            Without a test/ folder, `test_fraction` of the images are drawn as the test split.

    Raises:
        UserError: the folder does not exist, its layout is unclear, there are too few images or classes, or files are
            not images.
    """
    path, size = Path(params.folder), params.image_size
    if not path.exists():
        raise UserError(f"folder: nothing at {path}", f"make it, with {LAYOUT}")
    source = list_source(_only_archive(path) or path)
    layout = read_layout(source.path, source.files, source.folders)
    class_names, labels = _labels(source.path, layout.classes)
    is_test = np.array([split == "test" for split in layout.splits])
    lines = [f"{source.path}:", *layout.lines]
    if not is_test.any():
        is_test = held_out(labels, class_names, params.test_fraction, params.split_seed, "test_fraction")
        lines.append(f"test split: {params.test_fraction:g} of each class (test_fraction), as there is none")
    if source.litter:
        lines.append(f"left out: {len(source.litter)} file(s) of systems and programs: {some(source.litter)}")
    white = None if params.white == "auto" else params.white
    decode = partial(read_image, image_size=size, color_mode=params.color_mode, white=white)
    return RawData(
        class_names=class_names,
        labels=labels,
        is_test=is_test,
        image_shape=(size, size, 3 if params.color_mode == "rgb" else 1),
        chunks=read_images(source, layout.names, decode, rows_per_chunk((size, size, 3))),
        reading=[*lines, *_counts(class_names, labels, is_test)],
    )


def _labels(path: Path, classes: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the sorted class names and the label of each image."""
    class_names = sorted(set(classes))
    if len(class_names) < 2:
        raise UserError(f"{path}: expected two classes or more, found only {class_names[0]!r}", f"use {LAYOUT}")
    number = {name: label for label, name in enumerate(class_names)}
    return class_names, np.array([number[name] for name in classes], dtype=np.int64)


def _only_archive(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    entries = [p for p in path.iterdir() if not is_litter(p.name) and not is_note(p.name)]
    return entries[0] if len(entries) == 1 and entries[0].name.lower().endswith(ARCHIVES) else None


def _counts(class_names: list[str], labels: NDArray[np.int64], is_test: NDArray[np.bool_]) -> list[str]:
    """List the number of images per class; with many classes, list the first and give the range of the others."""
    splits = (labels[~is_test], labels[is_test])
    train, test = (np.bincount(split, minlength=len(class_names)).tolist() for split in splits)
    rows = list(zip(train, test, class_names, strict=True))
    most = len(rows) if len(rows) <= _MOST_CLASSES else _MOST_CLASSES // 2
    lines = [f"{len(rows)} classes:", "   train    test  class", *(f"{n:8}{m:8}  {name}" for n, m, name in rows[:most])]
    if rows[most:]:
        train, test = train[most:], test[most:]
        ranges = f"{min(train)} to {max(train)} train, {min(test)} to {max(test)} test images"
        lines.append(f"                  and {len(rows) - most} more, each with {ranges}")
    return lines
