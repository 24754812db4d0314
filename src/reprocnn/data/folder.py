"""The user's own images: a directory or archive (zip, tar) with a folder per class, with or without train/ and test/.

Archives are read member by member; nothing is extracted to a path that an archive names.
"""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from reprocnn.data.progress import progress
from reprocnn.data.raw import RawData
from reprocnn.data.splits import held_out
from reprocnn.errors import UserError
from reprocnn.files import rows_per_chunk

LAYOUT = "one folder per class, for example cats/*.jpg and dogs/*.jpg, with or without train/ and test/ above them"

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")
_VALIDATION = {"val", "valid", "validation", "dev"}
_SPLITS = {"train", "training", "test", "testing"} | _VALIDATION
_COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_BROKEN_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)

Reader = Callable[[], bytes]


@dataclass(frozen=True)
class _Listing:
    """Which images there are: their names in the order of the source, the class and the split of each."""

    names: list[str]
    classes: list[str]
    splits: list[str]


def find(folder: str) -> Path:
    """The place of the images, a directory or an archive.

    Raises:
        UserError: there is nothing at `folder`.
    """
    if not Path(folder).exists():
        raise UserError(f"folder: nothing at {folder}", f"make it, with {LAYOUT}")
    return Path(folder)


def load(path: Path, image_size: int, color_mode: str, test_fraction: float, split_seed: int) -> RawData:
    """The images at `path`, each cropped to a centred square and resized.

    Args:
        path: a directory or an archive; a directory that holds one archive and nothing else stands for that.
        image_size: pixels a side.
        color_mode: `rgb` or `grayscale`.
        test_fraction: part of the images drawn as test split where there is no test/.
        split_seed: draws them.

    Raises:
        UserError: the layout is another, there are too few images or classes, or a file is not an image.
    """
    path = _only_archive(path) or path
    listing = _list(path)
    class_names = sorted(set(listing.classes))
    if len(class_names) < 2:
        raise UserError(f"{path}: expected two classes or more, found only {class_names[0]!r}", f"use {LAYOUT}")
    number = {name: label for label, name in enumerate(class_names)}
    labels = np.array([number[name] for name in listing.classes], dtype=np.int64)
    is_test = np.array([split == "test" for split in listing.splits])
    if not is_test.any():
        is_test = held_out(labels, class_names, test_fraction, split_seed, "test_fraction")
    channels = 3 if color_mode == "rgb" else 1
    return RawData(
        class_names=class_names,
        labels=labels,
        is_test=is_test,
        image_shape=(image_size, image_size, channels),
        chunks=_decoded(path, listing.names, image_size, color_mode),
    )


def _only_archive(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    entries = [p for p in path.iterdir() if not _is_passed_over(p.name)]
    return entries[0] if len(entries) == 1 and entries[0].name.lower().endswith(_ARCHIVES) else None


def _list(path: Path) -> _Listing:
    """Find class and split of every image from its name."""
    names = [name for name, _ in _members(path) if not _is_passed_over(name)]
    if wrong := [name for name in names if not name.isprintable()]:
        raise UserError(f"{path}: the name {wrong[0]!a} is not readable text", "rename it")
    if not names:
        raise UserError(f"{path}: no images found", f"use {LAYOUT}")
    parts = [PurePosixPath(name).parts for name in names]
    # An archive often has one folder around it all; with it gone, every image must still be in a folder.
    while len({p[0] for p in parts}) == 1 and all(len(p) > 2 for p in parts) and parts[0][0] not in {"train", "test"}:
        parts = [p[1:] for p in parts]
    tops = {p[0] for p in parts if len(p) > 1}
    split_given = "train" in tops
    if tops and not split_given and {top.lower() for top in tops} <= _SPLITS:
        found = ", ".join(f"{top}/" for top in sorted(tops))
        raise UserError(f"{path}: expected train/ and test/, found {found}", "rename or merge them")
    if split_given and (extra := sorted(tops - {"train", "test"})):
        merge = f"merge {extra[0]}/ into train/: validation images are drawn by validation_fraction"
        fix = merge if extra[0].lower() in _VALIDATION else f"use {LAYOUT}"
        raise UserError(f"{path}: expected only test/ beside train/, found {extra[0]}/", fix)
    depth = 2 if split_given else 1
    if loose := [name for name, p in zip(names, parts, strict=True) if len(p) <= depth]:
        raise UserError(f"{path}: {loose[0]} is in no class folder", f"use {LAYOUT}")
    listing = _Listing(names, [p[depth - 1] for p in parts], [p[0] if split_given else "all" for p in parts])
    trained = {c for c, split in zip(listing.classes, listing.splits, strict=True) if split != "test"}
    if untrained := sorted(set(listing.classes) - trained):
        raise UserError(f"{path}: class {untrained[0]!r} is in test/ but not in train/", "add it to train/")
    return listing


def _is_passed_over(name: str) -> bool:
    """Hidden files, what operating systems leave behind, and notes: README, LICENSE."""
    path = PurePosixPath(name.lower())
    if path.stem in {"readme", "license", "licence"} and path.suffix in {"", ".md", ".txt", ".rst"}:
        return True
    return any(p.startswith(".") or p in {"__macosx", "thumbs.db", "desktop.ini"} for p in path.parts)


def _members(path: Path) -> Iterator[tuple[str, Reader]]:
    """Every file in a directory or archive: its name with slashes, and what reads it, to be called at once or never."""
    try:
        if path.is_dir():
            yield from _directory_members(path)
        elif zipfile.is_zipfile(path):
            yield from _zip_members(path)
        elif tarfile.is_tarfile(path):
            yield from _tar_members(path)
        else:
            raise UserError(f"{path} is neither a directory nor a zip or tar archive", f"use {LAYOUT}")
    except _BROKEN_ARCHIVE as error:
        raise UserError(f"{path} is broken: {error}", "download or pack it again") from None


def _directory_members(path: Path) -> Iterator[tuple[str, Reader]]:
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in folders:
            # DVC does not follow these either, so that it would not see the images change.
            if (link := Path(folder, name)).is_symlink():
                raise UserError(f"{link} is a symbolic link to a directory", "put the directory itself there")
        if not folders and not files and Path(folder) != path and not _is_passed_over(folder):
            raise UserError(f"{folder} is empty", "put images in it, or remove it")
        for name in sorted(files):
            file = Path(folder, name)
            yield file.relative_to(path).as_posix(), file.read_bytes


def _zip_members(path: Path) -> Iterator[tuple[str, Reader]]:
    with zipfile.ZipFile(path) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            name = info.filename.replace("\\", "/")  # as some Windows programs write it
            _refuse_unsafe(path, name, link=stat.S_ISLNK(info.external_attr >> 16))
            if not name.endswith("/"):
                yield name, lambda info=info: archive.read(info)  # type: ignore[misc]


def _tar_members(path: Path) -> Iterator[tuple[str, Reader]]:
    with _decompressed(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            _refuse_unsafe(path, member.name, link=not (member.isfile() or member.isdir()))
            if member.isfile():
                name = member.name.removeprefix("./")
                yield name, lambda m=member: archive.extractfile(m).read()  # type: ignore[misc,union-attr]
        # tarfile takes a broken header for the end. The end is two empty blocks; at the very end is gzip's checksum.
        file.seek(archive.offset)
        if file.read(1024) != bytes(1024):
            raise tarfile.ReadError("it ends early, or a header is broken")
        while file.read(2**20):
            pass


def _decompressed(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        start = file.read(6)
    opener = next((o for magic, o in _COMPRESSIONS.items() if start.startswith(magic)), open)
    return opener(path, "rb")  # type: ignore[operator,no-any-return]


def _refuse_unsafe(path: Path, name: str, link: bool) -> None:
    posix = PurePosixPath(name)
    if posix.is_absolute() or ".." in posix.parts:
        raise UserError(f"{path}: member {name!r} points outside of the archive", "pack it again without it")
    if link:
        raise UserError(
            f"{path}: member {name!r} is a link or a device, expected files",
            "pack it again without it",
        )


def _decoded(path: Path, names: list[str], image_size: int, color_mode: str) -> Iterator[NDArray[np.uint8]]:
    """The images in the order of `names`, which is the order of the source."""
    wanted, chunk = set(names), []
    most = rows_per_chunk((image_size, image_size, 3))
    with progress(len(names), "reading images", unit="image") as bar:
        for name, read in _members(path):
            if name not in wanted:
                continue
            chunk.append(_checked(f"{path}: {name}", read, image_size, color_mode))
            bar.update()
            if len(chunk) == most:
                yield np.stack(chunk)
                chunk = []
    if chunk:
        yield np.stack(chunk)


def _checked(name: str, read: Reader, image_size: int, color_mode: str) -> NDArray[np.uint8]:
    try:
        return decode(read(), image_size, color_mode)
    except MemoryError:
        raise
    except Exception as error:  # Pillow and zipfile raise a dozen kinds on broken files
        reason = "not an image that Pillow reads" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UserError(f"{name}: {reason}", "repair or remove this file") from None


def decode(content: bytes, image_size: int, color_mode: str) -> NDArray[np.uint8]:
    """Decode an image of any format, size and mode.

    It is turned as its EXIF data say, laid on white where it is transparent, cropped to a centred square, resized.

    Returns:
        uint8 (image_size, image_size, 3 for `rgb` or 1 for `grayscale`), 0-255.

    Raises:
        ValueError: the pixels are floats or 32 bits wide: of these nobody knows which value is white.
        Exception: of many kinds, where the content is not an image or is broken.
    """
    with Image.open(BytesIO(content)) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode in {"I", "F"}:
            raise ValueError("expected pixels of 8 or 16 bits, found 32")
        if image.mode.startswith("I;16"):  # `convert` would clip them to 255
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB" if color_mode == "rgb" else "L")
        if image.size != (image_size, image_size):
            image = ImageOps.fit(image, (image_size, image_size))
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if color_mode == "rgb" else pixels[..., np.newaxis]
