"""Make a stage exit when its dvc process has died.

`kill -9` of dvc leaves its stage running, and the next dvc would start the same stage a second time.
"""

import os
import signal
import sys
import threading
from contextlib import suppress

import psutil

_SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
LAUNCHER_VARIABLE = "REPROCNN_LAUNCHER"
"""Environment variable with the ID of the process that started dvc for a trial of a sweep."""
_INTERVAL = 1.0
"""Seconds between two checks of the dvc process."""


def exit_with_dvc() -> None:
    """Send SIGTERM to this process when the dvc process that started it has died, or the launcher of that process.

    Does nothing if no dvc started it.
    """
    if "DVC_STAGE" in os.environ:
        found = _find_dvc()
        threading.Thread(target=_watch, args=(found and [*found, *_find_launcher()],), daemon=True).start()


def dvc_start_time() -> float:
    """Return the Unix time at which the parent dvc process started; infinity if there is none."""
    with suppress(psutil.NoSuchProcess):
        if "DVC_STAGE" in os.environ and (found := _find_dvc()):
            return float(found[-1].create_time())
    return float("inf")


def _find_dvc() -> list[psutil.Process]:
    """Find the dvc process, and the shell between it and this process if there is one; empty if dvc has died."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process().parent()
        found = [parent, parent.parent()] if parent and parent.name() in _SHELLS else [parent]
        # Process 1 adopts orphans; in a container dvc itself may be process 1.
        if found[-1] and (found[-1].pid != 1 or "dvc" in " ".join(found[-1].cmdline())):
            return [process for process in found if process]
    return []


def _find_launcher() -> list[psutil.Process]:
    """Find the process that a sweep started for a trial and that started dvc; empty outside of a sweep.

    If it has died already, this process exits.
    """
    number = os.environ.get(LAUNCHER_VARIABLE)
    if not number:
        return []
    try:
        return [psutil.Process(int(number))]
    except psutil.NoSuchProcess:
        sys.exit("the process that launched this trial has died")


def _watch(processes: list[psutil.Process]) -> None:
    pause = threading.Event()
    while processes and all(map(_is_alive, processes)):
        pause.wait(_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)
    with suppress(OSError):  # the terminal may be gone, too
        print("the dvc process has exited, so this stage exits too", flush=True)


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
