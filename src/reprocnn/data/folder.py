"""The user's own images: a directory or an archive (zip, tar) with class folders, a table, or classes in the names."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.data.archives import ARCHIVES
from reprocnn.data.choose_layout import choose_layout
from reprocnn.data.fetch import Places
from reprocnn.data.folder_tree import first_few
from reprocnn.data.junk import is_junk, is_note
from reprocnn.data.layout import LAYOUT
from reprocnn.data.manifest import is_manifest, read_manifest
from reprocnn.data.raw import RawData
from reprocnn.data.reading import read_images
from reprocnn.data.source import list_source
from reprocnn.errors import UserError
from reprocnn.inference.decoding import read_image
from reprocnn.params import DownloadParams


def load(params: DownloadParams, places: Places) -> RawData:
    """Load the images at `params.folder`, each cropped to a centred square and resized.

    Args:
        params: `folder` is a directory or an archive, a directory with one archive and nothing else, or the manifest of
            a directory. The parameters of `choose_layout` say where classes and groups are. `image_size`, `color_mode`
            and `white` are explained at `decoding.decode`, `unreadable` at `read_images`.
        places: where the images are kept until the splits are written.

    Returns:
        Images uint8 (N, image_size, image_size, 3 for `rgb` or 1 for `grayscale`), 0-255, memory-mapped, with messages
        about how the folders were understood.

    Raises:
        UserError: the folder does not exist, its layout is wrong or ambiguous, it has too few images or classes, files
            aren't readable images, or the folder changes meanwhile.
    """
    path, size = Path(params.folder), params.image_size
    if not path.exists():
        raise UserError(f"folder: {path} does not exist", f"create it, with {LAYOUT}")
    manifest = read_manifest(path, places.checkout) if is_manifest(path) else None
    source = list_source(manifest.folder if manifest else archive_or_folder(path), manifest)
    layout = choose_layout(source, params)
    class_names, labels = _labels(source.path, layout.classes)
    messages = [f"{source.path}:", *layout.messages]
    if source.junk:
        messages.append(f"ignored {len(source.junk)} hidden, system or temporary file(s): {first_few(source.junk)}")
    white = None if params.white == "auto" else params.white
    decode = partial(read_image, image_size=size, color_mode=params.color_mode, white=white)
    shape = (size, size, 3 if params.color_mode == "rgb" else 1)
    for line in messages:
        print(line, flush=True)  # before the images are read, which may take long
    read = read_images(source, layout.names, decode, shape, places.reading, unreadable=params.unreadable)
    return RawData(
        class_names=class_names,
        labels=labels[read.kept],
        images=read.images,
        files=[layout.names[row] for row in read.kept],
        given=[layout.splits[row].replace("all", "") for row in read.kept],
        groups=[layout.groups[row] for row in read.kept],
        white=white,
        skipped=read.skipped,
    )


def _labels(path: Path, classes: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the sorted class names, and the label of each image: int64 (N,)."""
    class_names = sorted(set(classes))
    if len(class_names) < 2:
        raise UserError(f"{path}: expected at least two classes, found only {class_names[0]!r}", f"use {LAYOUT}")
    label_of = {name: label for label, name in enumerate(class_names)}
    return class_names, np.array([label_of[name] for name in classes], dtype=np.int64)


def archive_or_folder(path: Path) -> Path:
    """Return the folder of a manifest, the archive in a directory that has no other files, else the path itself."""
    if is_manifest(path):
        return read_manifest(path).folder
    if not path.is_dir():
        return path
    entries = [p for p in path.iterdir() if not is_junk(p.name) and not is_note(p.name)]
    return entries[0] if len(entries) == 1 and entries[0].name.lower().endswith(ARCHIVES) else path
