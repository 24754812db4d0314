"""List the files of a directory or archive, and read the images later, checking that it hasn't changed since."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.data.archives import Read, members, report_corrupt
from reprocnn.data.junk import is_junk, is_note
from reprocnn.data.manifest import ChangedError, Manifest
from reprocnn.data.progress import progress
from reprocnn.data.table import TABLES
from reprocnn.data.unreadable_files import MAX_COLLECTED, UnreadableFiles
from reprocnn.errors import UserError
from reprocnn.inference.unreadable import UnreadableError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """The contents of a directory or archive. Names are relative paths with `/` as separator.

    Args:
        path: the directory or archive.
        files: the names of the files, in the order of the source, without junk files, READMEs and licenses.
        folders: the names of the folders; an archive may not list all of them.
        junk: the names of hidden, system and temporary files.
        tables: name -> content of the files that may be tables, by their suffix.
        manifest: sizes and hashes that the files must have; None: they may have any.
        state: a value that changes when an archive is replaced; None for a directory.
    """

    path: Path
    files: list[str]
    folders: list[str]
    junk: list[str]
    tables: dict[str, bytes]
    manifest: Manifest | None
    state: object


def list_source(path: Path, manifest: Manifest | None = None) -> Source:
    """List the files of a directory or archive.

    Args:
        path: the directory or archive.
        manifest: that of the directory, if it has one.

    Raises:
        UserError: the archive is corrupt or unsafe, a name is not readable text, an archive has a file twice, or the
            manifest has other files.
    """
    source = Source(path, [], [], [], {}, manifest, _state(path))
    seen = set()
    for member in members(path):
        if is_junk(member.name):
            source.junk.extend([member.name] if member.read else [])
        elif member.read is None:
            source.folders.append(member.name)
        elif not is_note(member.name):
            source.files.append(member.name)
            if member.name in seen:
                raise UserError(f"{path}: the archive has {member.name} twice", "create it again without duplicates")
            seen.add(member.name)
            if member.name.lower().endswith(TABLES):
                source.tables[member.name] = _content(source, member.name, member.read)
    if manifest:
        manifest.refuse_other_files(source.files)
    return source


def _content(source: Source, name: str, read: Read) -> bytes:
    """Read a table."""
    try:
        return _checked(source, name, read)()
    except ChangedError:
        raise source.manifest.out_of_date({"changed": [name]}) from None  # type: ignore[union-attr]
    except UnreadableError as error:
        raise UserError(f"{source.path}: {name} can't be read: {error.cause}", error.fix) from None


def _checked(source: Source, name: str, read: Read) -> Read:
    """Return a function that reads a file and compares it with the manifest, if there is one that has it."""
    listed = source.manifest is not None and name in source.manifest.files
    return source.manifest.checked(name, read) if source.manifest and listed else read


def read_images(
    source: Source, names: list[str], decode: Callable[[str, Read], Pixels], per_chunk: int
) -> Iterator[Pixels]:
    """Read and decode images, in the order of the source, and yield them in chunks.

    Args:
        source: the directory or archive, as `list_source` returned it.
        names: the names of the images to read; a subset of the files in the source.
        decode: function of a name and a function that reads the file; returns the image, uint8 (height, width,
            channels), 0-255, or raises UnreadableError.
        per_chunk: the number of images per chunk.

    Yields:
        uint8 (n, height, width, channels), 0-255; n is `per_chunk`, or less in the last chunk.

    Raises:
        UserError: files can't be read as images (it lists them), or the source has changed since it was listed.
    """
    failure = None
    try:
        with report_corrupt(source.path):
            yield from _chunks(source, names, decode, per_chunk)
    except UserError as error:
        failure = error
    if _state(source.path) != source.state:
        raise _changed_error(source, "it was replaced")
    if failure:
        raise failure


def _chunks(
    source: Source, names: list[str], decode: Callable[[str, Read], Pixels], per_chunk: int
) -> Iterator[Pixels]:
    unreadable, wanted = UnreadableFiles(source.path, len(names)), set(names)
    chunk: list[Pixels] = []
    changed: list[str] = []
    with progress(len(names), "reading images", unit="image") as bar:
        for name, read in _listed_files(source):
            if name not in wanted:
                continue
            try:
                chunk.append(decode(name, _checked(source, name, read)))
            except ChangedError:
                changed.append(name)
            except UnreadableError as error:
                unreadable.add(name, error)
            except FileNotFoundError:
                raise _changed_error(source, f"{name} was deleted") from None
            bar.update()
            if len(unreadable) == MAX_COLLECTED:
                break
            if unreadable or changed:
                chunk.clear()  # reading will fail; the remaining images are decoded only to list all unreadable ones
            elif len(chunk) == per_chunk:
                yield np.stack(chunk)
                chunk.clear()
    if changed and source.manifest:
        raise source.manifest.out_of_date({"changed": changed})
    if unreadable:
        raise unreadable.error()
    if chunk:
        yield np.stack(chunk)


def _listed_files(source: Source) -> Iterator[tuple[str, Read]]:
    """Yield the files of the source; raise UserError if they aren't exactly those that were listed.

    DVC hashes the images at the end of the stage. If an image was added meanwhile, DVC would record it although it was
    not read, and would not run the stage again.
    """
    expected = iter(source.files)
    for member in members(source.path):
        if member.read is None or is_junk(member.name) or is_note(member.name):
            continue
        name = next(expected, None)
        if name != member.name:
            deleted = name if member.name in source.files else None
            raise _changed_error(source, f"{deleted} was deleted" if deleted else f"{member.name} was added")
        yield member.name, member.read
    if name := next(expected, None):
        raise _changed_error(source, f"{name} was deleted")


def _changed_error(source: Source, change: str) -> UserError:
    return UserError(f"{source.path} changed while it was read: {change}", "run again when nothing writes to it")


def _state(path: Path) -> object:
    """Return a value that changes when an archive is replaced; None for a directory, whose files are compared."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
