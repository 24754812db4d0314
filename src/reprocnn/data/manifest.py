"""A manifest: a table of the files in a folder with their sizes and hashes.

With a manifest as the dependency of the download stage, DVC hashes one file. It would hash a folder of a million images
each time it looks for changes, which takes minutes.
"""

import csv
import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import cpu_count, path
from pathlib import Path
from typing import NamedTuple

from reprocnn.data.archives import Read, members
from reprocnn.data.folder_tree import first_few
from reprocnn.data.junk import is_junk, is_note
from reprocnn.errors import UserError

MANIFEST = ".manifest.csv"
"""The end of the name of a manifest."""
COLUMNS = ("path", "size", "sha256")

_PER_TASK = 64


class FileHash(NamedTuple):
    """The content of a file."""

    size: int
    """In bytes."""
    sha256: str
    """In hex."""


class Manifest(NamedTuple):
    """A list of the files in a folder.

    Args:
        path: the manifest.
        folder: the folder.
        files: name, relative to the folder, with `/` as separator -> size and hash.
    """

    path: Path
    folder: Path
    files: Mapping[str, FileHash]

    def refuse_other_files(self, names: Iterable[str]) -> None:
        """Compare the names of the files in the folder, and their sizes, with the manifest.

        Raises:
            UserError: a file is missing, not in the manifest, or has another size.
        """
        found = set(names)
        missing = [name for name in self.files if name not in found]
        new = sorted(found - self.files.keys())
        common = (name for name in self.files if name in found)
        changed = [name for name in common if _size(self.folder / name) != self.files[name].size]
        if missing or new or changed:
            raise self.out_of_date({"missing": missing, "new": new, "changed": changed})

    def checked(self, name: str, read: Read) -> Read:
        """Return a function that reads a file.

        It raises ChangedError if its content is not as in the manifest.
        """
        return partial(_read_checked, self.files[name], read)

    def out_of_date(self, differences: Mapping[str, Sequence[str]]) -> UserError:
        """Return the error for files that are not as in the manifest.

        Args:
            differences: `missing`, `new` or `changed` -> names of files.
        """
        words = [f"{len(names)} {word} ({first_few(list(names))})" for word, names in differences.items() if names]
        command = f"python -m reprocnn manifest {shlex.quote(str(self.folder))} --output {shlex.quote(str(self.path))}"
        return UserError(
            f"{self.path} is out of date; of the files in {self.folder}, {', '.join(words)}",
            f"restore the files; or, if they are right as they are, `{command}`",
        )


class ChangedError(Exception):
    """A file is not as in the manifest."""


def is_manifest(file: Path) -> bool:
    """Return whether a path is that of a manifest, by its name."""
    return file.name.lower().endswith(MANIFEST)


def read_manifest(file: Path, checkout: Path = Path()) -> Manifest:
    """Read a manifest. Its first row names the folder, relative to the manifest, and the others the files.

    Args:
        file: the manifest.
        checkout: the user's checkout. A `--temp` or `--queue` experiment works in a copy of it that lacks the images;
            their hashes say that those in the checkout are the right ones.

    Raises:
        UserError: it is not a manifest, or its folder does not exist.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            header, (top, _, _), *rows = csv.reader(lines)
            files = {name.removeprefix(top): FileHash(int(size), sha256) for name, size, sha256 in rows}
    except (ValueError, csv.Error):  # also bytes that aren't UTF-8, and rows with other numbers of cells
        header, top, files = [], "", {}
    if tuple(header) != COLUMNS or not top.endswith("/"):
        raise UserError(
            f"{file} is not a manifest with the columns {', '.join(COLUMNS)}",
            "write it with `python -m reprocnn manifest FOLDER`",
        )
    here, there = (Path(path.normpath(root / file.parent / top)) for root in (Path(), checkout))
    # A file of the folder that Git tracks, such as a README, is in the copy, too.
    folder = here if (here / next(iter(files), "")).exists() else there
    if not folder.is_dir():
        raise UserError(f"{file} names the folder {folder}, which does not exist", "put the images there")
    return Manifest(file, folder, files)


def list_files(folder: Path) -> list[str]:
    """List the files that download reads: all but junk, READMEs and licenses. Sorted."""
    names = [member.name for member in members(folder) if member.read is not None]
    return sorted(name for name in names if not is_junk(name) and not is_note(name))


def hash_files(folder: Path, names: Sequence[str]) -> Iterator[FileHash]:
    """Yield the size and hash of files, in order; all cores hash them.

    Args:
        folder: the folder.
        names: the names of files in it.

    Raises:
        UserError: a file can't be read.
    """
    tasks = [names[start : start + _PER_TASK] for start in range(0, len(names), _PER_TASK)]
    with ThreadPoolExecutor(cpu_count()) as pool:
        try:
            for hashes in pool.map(partial(_hash_some, folder), tasks):
                yield from hashes
        finally:
            pool.shutdown(cancel_futures=True)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:  # it was deleted or made unreadable since it was listed
        return None


def _hash_some(folder: Path, names: Sequence[str]) -> list[FileHash]:
    return [_hash_file(folder / name) for name in names]


def _hash_file(file: Path) -> FileHash:
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            return FileHash(content.tell(), digest)
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}", "check its permissions") from None


def _read_checked(expected: FileHash, read: Read) -> bytes:
    content = read()
    if FileHash(len(content), hashlib.sha256(content).hexdigest()) != expected:
        raise ChangedError
    return content
