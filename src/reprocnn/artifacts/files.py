"""Write files atomically and read them. The same content always gives the same bytes."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from reprocnn.errors import UserError

_IGNORED = ("__pycache__", "*.pyc", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints", "*.swp", "*~")
"""The patterns of .dvcignore for names in source folders; a test compares them."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. It is renamed to `path` if the block succeeds, and removed if it raises."""
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder. It replaces `path` if the block succeeds, and is removed if it raises."""
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(path, ignore_errors=True)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_file(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON; keys keep their order. NaN and infinity raise ValueError."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def unexpected(path: Path, expected: str, found: str, stage: str) -> UserError:
    """Return the error for a file with unexpected content, for example from another version of this project.

    Args:
        path: the file.
        expected: the expected content.
        found: what the file has instead.
        stage: the stage that writes the file; the error says how to run it again.
    """
    return UserError(f"{path}: expected {expected}, found {found}", f"dvc repro --force {stage}")


def md5(path: Path) -> str:
    """Return the MD5 hash of a file in hex, as in dvc.lock."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def content_md5(path: Path) -> str:
    """Compute the md5 of a file, or of a folder as DVC does: the md5 of the list of its files and their md5."""
    if path.is_file():
        return md5(path)
    names = sorted((f.relative_to(path).as_posix(), f) for f in path.rglob("*") if f.is_file() and not _is_ignored(f))
    listed = json.dumps([{"md5": md5(f), "relpath": name} for name, f in names])
    return hashlib.md5(listed.encode()).hexdigest() + ".dir"


def _is_ignored(file: Path) -> bool:
    """Return whether .dvcignore excludes a file."""
    return any(fnmatch(part, pattern) for part in file.parts for pattern in _IGNORED)
