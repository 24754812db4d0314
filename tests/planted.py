"""Search for planted secrets: in files of any kind, in a Git repository, in the arguments of processes."""

import base64
import gzip
import io
import sqlite3
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psutil


def forms(secret: str) -> list[bytes]:
    """Return a secret as it may be written: plain, in a URL, in JSON, in base64 as HTTP sends it."""
    plain = {secret, quote(secret, safe=""), quote(secret)}
    encoded = {base64.b64encode(f"{before}{secret}".encode()).decode().rstrip("=")[:-1] for before in ("", "me:")}
    return [form.encode() for form in sorted(plain | encoded)]


class Planted:
    """Secrets, and where they were found.

    Args:
        secrets: the place where a user put it -> the secret.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.secrets = dict(secrets)
        self._forms = {place: forms(secret) for place, secret in secrets.items()}

    def within(self, content: bytes) -> set[str]:
        """Return the places whose secrets are in some bytes."""
        return {place for place, written in self._forms.items() if any(form in content for form in written)}

    def in_files(self, folder: Path) -> dict[str, set[str]]:
        """Return the files of a folder with secrets, path -> places; without Git's objects, which are compressed."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        found = {
            path.relative_to(folder).as_posix(): set().union(*map(self.within, _contents(path.read_bytes(), path)))
            for path in files
        }
        return {name: places for name, places in found.items() if places}

    def in_git(self, folder: Path) -> dict[str, set[str]]:
        """Return the objects of a Git repository with secrets, also those to which nothing refers.

        They are named by their type and their first line.
        """
        listed = subprocess.run(
            ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"],
            cwd=folder,
            check=True,
            capture_output=True,
        ).stdout
        found: dict[str, set[str]] = {}
        for kind, content in _objects(listed):
            if places := self.within(content):
                first = content.partition(b"\n")[0].decode(errors="replace")
                found.setdefault(f"{kind} {first}", set()).update(places)
        return found


def _objects(listed: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the type and the content of each object in what `git cat-file --batch` printed."""
    at = 0
    while at < len(listed):
        end = listed.index(b"\n", at)
        _, kind, size = listed[at:end].decode().split()
        at = end + 1 + int(size)
        yield kind, listed[end + 1 : at]
        at += 1


def _contents(content: bytes, path: Path | None = None) -> Iterator[bytes]:
    """Yield the content of a file, and of the members of an archive, or the rows of a database."""
    yield content
    if content.startswith(b"SQLite format 3") and path:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            yield "\n".join(connection.iterdump()).encode()
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _contents(archive.read(name))
    elif content.startswith(b"\x1f\x8b"):
        yield from _contents(gzip.decompress(content))
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive.getmembers():
                if file := archive.extractfile(member):
                    yield from _contents(file.read())


class Watch:
    """A thread that reads the arguments of all processes, again and again, while its block runs."""

    def __init__(self) -> None:
        self.commands: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            for process in psutil.process_iter(["cmdline"]):
                self.commands.add(" ".join(process.info["cmdline"] or ()))
