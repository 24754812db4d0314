"""End a stage whose dvc is gone.

`kill -9` of dvc leaves its stage running: a second dvc would start the same stage beside it.
"""

import os
import signal
import threading
from contextlib import suppress

import psutil

_SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
_SECONDS = 1.0
"""Between two looks at whether dvc is there."""


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
