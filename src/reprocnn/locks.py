"""One process at a time in a workspace and on a checkpoint; no process that goes on without its dvc.

`kill -9` of dvc leaves its stage running: a second dvc would start the same stage beside it.
"""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

TRACKER = "tracker"
"""The name of the thread that talks to MLflow: no stage waits for it when it ends."""
_SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
_SECONDS = 1.0
"""Between two looks at whether dvc is there."""


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold a lock; where another process has it, say so and wait. The system frees it when its holder dies.

    Args:
        path: of the lock; its holder's process number is written beside it.
        what: two processes must not do at once, for the message.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, number = FileLock(path), path.with_suffix(".pid")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found = holder(path) or "unknown"
        print(f"another process (number {found}) {what}; waiting for it to end (`kill {found}` ends it)", flush=True)
        lock.acquire()
    try:
        number.write_text(str(os.getpid()))
        yield
    finally:
        number.unlink(missing_ok=True)
        lock.release()


def holder(path: Path) -> str:
    """The number of the process that has a lock, `unknown` where it did not write it; empty where the lock is free."""
    with suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back as the file closes
        except BlockingIOError:
            with suppress(FileNotFoundError):
                return path.with_suffix(".pid").read_text() or "unknown"
            return "unknown"
    return ""


def end_with_dvc() -> None:
    """Send this process SIGTERM when the dvc that started it is gone, so that the next one finds no orphan.

    Does nothing where no dvc started it.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(_dvc(),), daemon=True).start()


def dvc_started() -> float:
    """Return the Unix time at which the dvc that started this process began; infinity where none did."""
    with suppress(psutil.NoSuchProcess):
        if "DVC_STAGE" in os.environ and (found := _dvc()):
            return float(found[-1].create_time())
    return float("inf")


def _dvc() -> list[psutil.Process]:
    """The process of dvc, and the shell between, where it stays; empty where it is gone already."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process().parent()
        found = [parent, parent.parent()] if parent and parent.name() in _SHELLS else [parent]
        # What takes up orphans; in a container dvc itself may be number 1.
        if found[-1] and (found[-1].pid != 1 or "dvc" in " ".join(found[-1].cmdline())):
            return [process for process in found if process]
    return []


def _watch(processes: list[psutil.Process]) -> None:
    pause = threading.Event()
    while processes and all(map(_is_there, processes)):
        pause.wait(_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    with suppress(OSError):  # the terminal may be gone, too
        print("dvc is gone; ending, so that the next dvc finds this stage free", flush=True)


def _is_there(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
