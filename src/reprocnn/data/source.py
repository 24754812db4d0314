"""List a directory or archive of images, then read it, and check that it did not change in between."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.data.archives import Read, members, refuse_broken
from reprocnn.data.litter import is_litter, is_note
from reprocnn.data.progress import progress
from reprocnn.data.unreadable import MOST_COLLECTED, Unreadable, Unreadables
from reprocnn.errors import UserError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """The content of a directory or archive.

    Args:
        path: path of the directory or archive.
        files: paths of all files except litter and notes, with slashes, in the order of the source.
        folders: paths of the folders; an archive may not list them all.
        litter: paths of files that systems and programs left behind.
        state: another value after an archive was replaced.
    """

    path: Path
    files: list[str]
    folders: list[str]
    litter: list[str]
    state: object


def list_source(path: Path) -> Source:
    """List the files of a directory or archive.

    Raises:
        UserError: it is broken or unsafe, a name is not valid text, or an archive has a file twice.
    """
    source = Source(path, [], [], [], _state(path))
    seen = set()
    for member in members(path):
        if is_litter(member.name):
            source.litter.extend([member.name] if member.read else [])
        elif member.read is None:
            source.folders.append(member.name)
        elif not is_note(member.name):
            source.files.append(member.name)
            if member.name in seen:
                raise UserError(f"{path}: {member.name} is in there twice", "pack it again")
            seen.add(member.name)
    return source


def read_images(
    source: Source, names: list[str], decode: Callable[[str, Read], Pixels], per_chunk: int
) -> Iterator[Pixels]:
    """Read images, in the order of the source.

    Args:
        source: the source, as listed before.
        names: paths of the images.
        decode: returns the pixels of an image from its name and its reader; raises Unreadable.
        per_chunk: number of images per chunk.

    Raises:
        UserError: files are not images (it names all of them), or the source has changed since it was listed.
    """
    failure = None
    try:
        with refuse_broken(source.path):
            yield from _chunks(source, names, decode, per_chunk)
    except UserError as error:
        failure = error
    if _state(source.path) != source.state:
        raise _changed(source, "it was replaced")
    if failure:
        raise failure


def _chunks(
    source: Source, names: list[str], decode: Callable[[str, Read], Pixels], per_chunk: int
) -> Iterator[Pixels]:
    wrong, wanted = Unreadables(source.path, len(names)), set(names)
    chunk: list[Pixels] = []
    with progress(len(names), "reading images", unit="image") as bar:
        for name, read in _files_again(source):
            if name not in wanted:
                continue
            try:
                chunk.append(decode(name, read))
            except Unreadable as why:
                wrong.add(name, why)
            except FileNotFoundError:
                raise _changed(source, f"{name} went away") from None
            bar.update()
            if len(wrong) == MOST_COLLECTED:
                break
            if wrong:
                chunk.clear()  # the stage will fail; go on only to find all unreadable files
            elif len(chunk) == per_chunk:
                yield np.stack(chunk)
                chunk.clear()
    if wrong:
        raise wrong.error()
    if chunk:
        yield np.stack(chunk)


def _files_again(source: Source) -> Iterator[tuple[str, Read]]:
    """Yield the files, and check that they are those that were listed.

    DVC records the images as they are after the stage, so a new image would never be read.
    """
    expected = iter(source.files)
    for member in members(source.path):
        if member.read is None or is_litter(member.name) or is_note(member.name):
            continue
        name = next(expected, None)
        if name != member.name:
            gone = name if member.name in source.files else None
            raise _changed(source, f"{gone} went away" if gone else f"{member.name} is new")
        yield member.name, member.read
    if name := next(expected, None):
        raise _changed(source, f"{name} went away")


def _changed(source: Source, how: str) -> UserError:
    return UserError(f"{source.path} changed while it was read: {how}", "run again when nothing writes to it")


def _state(path: Path) -> object:
    """Return a value that changes if an archive is replaced; None for a directory, whose files are compared."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
