"""Lock a workspace or a checkpoint, so that one process at a time uses it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold a lock for the block; if another process holds it, print a message and wait.

    The operating system releases the lock when its holder dies.

    Args:
        path: the lock file; the process ID of the holder is written to a file beside it.
        what: what the holder does, for the message.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, number = FileLock(path), path.with_suffix(".pid")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found = holder(path) or "unknown"
        print(f"another process (ID {found}) {what}; waiting for it to exit (`kill {found}` stops it)", flush=True)
        lock.acquire()
    try:
        number.write_text(str(os.getpid()))
        yield
    finally:
        number.unlink(missing_ok=True)
        lock.release()


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock for the block if it is free; yield whether it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def holder(path: Path) -> str:
    """Return the process ID of the holder of a lock; `unknown` if it is not recorded, empty if the lock is free."""
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released when the file is closed
        except BlockingIOError:
            with suppress(FileNotFoundError):
                return path.with_suffix(".pid").read_text() or "unknown"
            return "unknown"
    return ""
