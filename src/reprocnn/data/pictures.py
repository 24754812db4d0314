"""List pictures: files, and all files in folders and archives."""

import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from reprocnn.data.archives import ARCHIVES, Read, members, report_corrupt
from reprocnn.data.junk import is_junk, is_note
from reprocnn.errors import UserError
from reprocnn.inference.unreadable import UnreadableError, memory_failure


def list_pictures(paths: Iterable[str], folder: str = "") -> Iterator[tuple[str, Read]]:
    """Yield the name of each picture, and a function that reads its file. Call it before the next picture is taken.

    Folders and archives (zip, tar) are searched at every depth. Hidden, system and temporary files, README and LICENSE
    files in them are left out.

    Args:
        paths: files, folders or archives; `-` is a file on standard input. A file that does not exist is yielded too,
            and fails when it is read; so is a folder or archive that can't be listed, after what was found in it.
        folder: the folder to which the paths are relative.
    """
    for path in paths:
        file = Path(folder, path)
        if path == "-":
            yield path, _read_standard_input
        elif _is_folder_or_archive(file):
            try:
                for name, read in _files_in(file):
                    yield os.path.join(path, name), read  # noqa: PTH118  keeps the path as it was typed
            except UserError as error:
                yield path, partial(_fail, UnreadableError(error.problem, error.fix))
        else:
            yield path, partial(_read_file, file)


def count_pictures(paths: Iterable[str], folder: str = "") -> int | None:
    """Count the pictures that `list_pictures` yields; None if that takes reading a tar archive."""
    if any(path.endswith(ARCHIVES) and not path.endswith(".zip") for path in map(str.lower, paths)):
        return None
    return sum(1 for _ in list_pictures(paths, folder))


def _is_folder_or_archive(file: Path) -> bool:
    try:
        return file.is_dir() or (file.name.lower().endswith(ARCHIVES) and file.is_file())
    except OSError:  # for example, the name is too long; reading the file then fails
        return False


def _fail(error: UnreadableError) -> bytes:
    raise error


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise UnreadableError("standard input is closed", "redirect a picture to it")
    return sys.stdin.buffer.read()


def _read_file(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except MemoryError:
        raise memory_failure() from None


def _read_member(path: Path, read: Read) -> bytes:
    """Read a file in a folder or archive."""
    try:
        with report_corrupt(path):
            return read()
    except UserError as error:
        raise UnreadableError(error.problem, error.fix) from None
    except MemoryError:
        raise memory_failure() from None


def _files_in(path: Path) -> Iterator[tuple[str, Read]]:
    """Yield the files in a folder or archive that may be pictures."""
    for member in members(path):
        if member.read is not None and not is_junk(member.name) and not is_note(member.name):
            yield member.name, partial(_read_member, path, member.read)
