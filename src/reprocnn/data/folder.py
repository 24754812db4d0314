"""The user's own images: a directory or an archive (zip, tar) with one folder per class."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.split import rows_per_chunk
from reprocnn.data.archives import ARCHIVES
from reprocnn.data.fetch import Places
from reprocnn.data.folder_tree import first_few
from reprocnn.data.junk import is_junk, is_note
from reprocnn.data.layout import LAYOUT, read_layout
from reprocnn.data.raw import RawData
from reprocnn.data.source import list_source, read_images
from reprocnn.data.splits import held_out
from reprocnn.errors import UserError
from reprocnn.inference.decoding import read_image
from reprocnn.params import DownloadParams

_MAX_CLASSES = 20
"""With more classes than this, the image counts of only some classes are printed."""


def load(params: DownloadParams, _: Places) -> RawData:
    """Load the images at `params.folder`, each cropped to a centred square and resized.

    Args:
        params: `folder` is a directory or an archive, or a directory with one archive and nothing else. If it has no
            test/ folder, `test_fraction` of the images, chosen with `split_seed`, become the test split. `image_size`,
            `color_mode` and `white` are explained at `decoding.decode`.

    Returns:
        Images uint8 (N, image_size, image_size, 3 for `rgb` or 1 for `grayscale`), 0-255, with messages about how the
        folders were understood. The images are read and decoded only when the chunks are iterated over; this raises
        UserError if files aren't readable images, or if the folder changes meanwhile.

    Raises:
        UserError: the folder does not exist, its layout is wrong or ambiguous, or it has too few images or classes.
    """
    path, size = Path(params.folder), params.image_size
    if not path.exists():
        raise UserError(f"folder: {path} does not exist", f"create it, with {LAYOUT}")
    source = list_source(_only_archive(path) or path)
    layout = read_layout(source.path, source.files, source.folders)
    class_names, labels = _labels(source.path, layout.classes)
    is_test = np.array([split == "test" for split in layout.splits])
    messages = [f"{source.path}:", *layout.messages]
    if not is_test.any():
        is_test = held_out(labels, class_names, params.test_fraction, params.split_seed, "test_fraction")
        messages.append(f"no test/: {params.test_fraction:g} of each class (test_fraction) becomes the test split")
    if source.junk:
        messages.append(f"ignored {len(source.junk)} hidden, system or temporary file(s): {first_few(source.junk)}")
    white = None if params.white == "auto" else params.white
    decode = partial(read_image, image_size=size, color_mode=params.color_mode, white=white)
    return RawData(
        class_names=class_names,
        labels=labels,
        is_test=is_test,
        image_shape=(size, size, 3 if params.color_mode == "rgb" else 1),
        chunks=read_images(source, layout.names, decode, rows_per_chunk((size, size, 3))),
        white=white,
        messages=[*messages, *_describe_counts(class_names, labels, is_test)],
    )


def _labels(path: Path, classes: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the sorted class names, and the label of each image: int64 (N,)."""
    class_names = sorted(set(classes))
    if len(class_names) < 2:
        raise UserError(f"{path}: expected at least two classes, found only {class_names[0]!r}", f"use {LAYOUT}")
    label_of = {name: label for label, name in enumerate(class_names)}
    return class_names, np.array([label_of[name] for name in classes], dtype=np.int64)


def _only_archive(path: Path) -> Path | None:
    """Return the archive in a directory that has no other files, else None."""
    if not path.is_dir():
        return None
    entries = [p for p in path.iterdir() if not is_junk(p.name) and not is_note(p.name)]
    return entries[0] if len(entries) == 1 and entries[0].name.lower().endswith(ARCHIVES) else None


def _describe_counts(class_names: list[str], labels: NDArray[np.int64], is_test: NDArray[np.bool_]) -> list[str]:
    """List the number of images per class; with many classes, only of the first ones, then the range of the rest."""
    splits = (labels[~is_test], labels[is_test])
    train, test = (np.bincount(split, minlength=len(class_names)).tolist() for split in splits)
    rows = list(zip(train, test, class_names, strict=True))
    shown = len(rows) if len(rows) <= _MAX_CLASSES else _MAX_CLASSES // 2
    lines = [f"{len(rows)} classes:", "   train    test  class"]
    lines += [f"{n_train:8}{n_test:8}  {name}" for n_train, n_test, name in rows[:shown]]
    if rows[shown:]:
        train, test = train[shown:], test[shown:]
        ranges = f"{min(train)} to {max(train)} training and {min(test)} to {max(test)} test images"
        lines.append(f"                  and {len(rows) - shown} more, each with {ranges}")
    return lines
