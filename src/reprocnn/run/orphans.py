"""End a stage whose dvc process has died.

`kill -9` of dvc leaves its stage running, and the next dvc would start the same stage a second time.
"""

import os
import signal
import threading
from contextlib import suppress

import psutil

_SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
_SECONDS = 1.0
"""Interval between two checks of the dvc process."""


def end_with_dvc() -> None:
    """Send SIGTERM to this process when the dvc process that started it has died.

    Does nothing if no dvc started it.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(_dvc(),), daemon=True).start()


def dvc_started() -> float:
    """Return the Unix time at which the dvc process that started this process began; infinity if there is none."""
    with suppress(psutil.NoSuchProcess):
        if "DVC_STAGE" in os.environ and (found := _dvc()):
            return float(found[-1].create_time())
    return float("inf")


def _dvc() -> list[psutil.Process]:
    """Find the dvc process, and the shell between it and this process if there is one; empty if dvc has died."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process().parent()
        found = [parent, parent.parent()] if parent and parent.name() in _SHELLS else [parent]
        # Process 1 adopts orphans; in a container dvc itself may be process 1.
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
