"""Make a stage exit when its dvc process has died.

`kill -9` of dvc leaves its stage running, and the next dvc would start the same stage a second time.
"""

import os
import signal
import threading
from contextlib import suppress

import psutil

_SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")
_INTERVAL = 1.0
"""Seconds between two checks of the dvc process."""


def exit_with_dvc() -> None:
    """Send SIGTERM to this process when the dvc process that started it has died.

    Does nothing if no dvc started it.
    """
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=(_find_dvc(),), daemon=True).start()


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
