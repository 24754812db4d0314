"""One process at a time in a workspace and on a checkpoint; no process that goes on without its dvc.

`kill -9` of dvc leaves its stage running: a second dvc would start the same stage beside it.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

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
    lock, holder = FileLock(path), path.with_suffix(".pid")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found = holder.read_text() if holder.exists() else "unknown"
        print(f"another process (number {found}) {what}; waiting for it to end (`kill {found}` ends it)", flush=True)
        lock.acquire()
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def end_with_dvc() -> None:
    """Send this process SIGTERM when the dvc that started it is gone, so that the next one finds no orphan.

    Does nothing where no dvc started it.
    """
    if "DVC_STAGE" in os.environ and (started_by := _dvc()):
        threading.Thread(target=_watch, args=(started_by,), daemon=True).start()


def _dvc() -> list[psutil.Process]:
    """The process of dvc, and the shell between, where it stays."""
    parent = psutil.Process().parent()
    if parent is None or parent.name() not in _SHELLS:
        return [parent] if parent else []
    return [process for process in (parent, parent.parent()) if process]


def _watch(processes: list[psutil.Process]) -> None:
    pause = threading.Event()
    while all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes):
        pause.wait(_SECONDS)
    print("dvc is gone; ending, so that the next dvc finds this stage free", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
