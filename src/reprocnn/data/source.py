"""List the files of a directory or archive, and go through them later, checking that it hasn't changed since."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reprocnn.data.archives import Read, members
from reprocnn.data.junk import is_junk, is_note
from reprocnn.data.manifest import ChangedError, Manifest
from reprocnn.data.table import TABLES
from reprocnn.errors import UserError
from reprocnn.inference.unreadable import UnreadableError


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
    source = Source(path, [], [], [], {}, manifest, state(path))
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
        return checked(source, name, read)()
    except ChangedError:
        raise source.manifest.out_of_date({"changed": [name]}) from None  # type: ignore[union-attr]
    except UnreadableError as error:
        raise UserError(f"{source.path}: {name} can't be read: {error.cause}", error.fix) from None


def checked(source: Source, name: str, read: Read) -> Read:
    """Return a function that reads a file and compares it with the manifest, if there is one that has it."""
    listed = source.manifest is not None and name in source.manifest.files
    return source.manifest.checked(name, read) if source.manifest and listed else read


def listed_files(source: Source) -> Iterator[tuple[str, Read]]:
    """Yield the files of the source; raise UserError if they aren't exactly those that were listed.

    DVC hashes the images at the end of the stage. If an image was added meanwhile, DVC would record it although it was
    not read, and would not run the stage again.
    """
    expected, listed = iter(source.files), set(source.files)
    for member in members(source.path):
        if member.read is None or (member.name not in listed and (is_junk(member.name) or is_note(member.name))):
            continue
        name = next(expected, None)
        if name != member.name:
            deleted = name if member.name in listed else None
            raise changed_error(source, f"{deleted} was deleted" if deleted else f"{member.name} was added")
        yield member.name, member.read
    if name := next(expected, None):
        raise changed_error(source, f"{name} was deleted")


def changed_error(source: Source, change: str) -> UserError:
    """Return the error for a source that changed since it was listed."""
    return UserError(f"{source.path} changed while it was read: {change}", "run again when nothing writes to it")


def state(path: Path) -> object:
    """Return a value that changes when an archive is replaced; None for a directory, whose files are compared."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
