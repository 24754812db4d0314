"""Run a stage and kill it with SIGKILL at the Nth event.

Usage: python killer.py STAGE EVENT N   (in a checkout, whose own code runs)

EVENT is `batch` (before batches are read), `save` (a checkpoint is half-written), `rename` (before a finished file is
renamed) or `renamed` (after it).
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STAGE, EVENT, LAST = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = 0


def is_last() -> bool:
    """Count this event; return whether it is the last one."""
    global seen
    seen += 1
    return seen == LAST


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any) -> Any:
        if is_last():
            die()
        return original(*arguments)

    return read


def save_half(file: Any, **arrays: Any) -> None:
    if is_last():
        file.write(b"half")
        file.flush()
        die()
    savez(file, **arrays)


def kill_at_rename(original: Callable[..., Any]) -> Callable[..., Any]:
    def replace(self: Path, target: Path) -> Any:
        last = is_last()
        if last and EVENT == "rename":
            die()
        done = original(self, target)
        if last:
            die()
        return done

    return replace


sys.path.insert(0, "stages")
import _stage  # noqa: E402, F401  the checkout's own code comes first

if EVENT == "batch":
    from reprocnn.training.batches import Batches

    Batches._read = kill_at_batch(Batches._read)  # type: ignore[method-assign]
elif EVENT == "save":
    import numpy as np

    savez, np.savez = np.savez, save_half  # type: ignore[assignment]
else:
    Path.replace = kill_at_rename(Path.replace)  # type: ignore[method-assign]

runpy.run_path(f"stages/{STAGE}.py", run_name="__main__")
