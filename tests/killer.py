"""Runs a stage and kills it with SIGKILL at a chosen moment.

Usage: python killer.py STAGE EVENT N   (in a checkout; the stage is the checkout's own)

EVENT is what is counted, and the Nth one is the last: `batch` (read), `save` (a checkpoint, half-written), `rename`
(of a file that was written, not done), `renamed` (done).
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


def count() -> bool:
    """Whether this is the last event."""
    global seen
    seen += 1
    return seen == LAST


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def batch(original: Callable[..., Any]) -> Callable[..., Any]:
    def read(*arguments: Any) -> Any:
        if count():
            die()
        return original(*arguments)

    return read


def save(file: Any, **arrays: Any) -> None:
    if count():
        file.write(b"half")
        file.flush()
        die()
    savez(file, **arrays)


def rename(original: Callable[..., Any]) -> Callable[..., Any]:
    def replace(self: Path, target: Path) -> Any:
        last = count()
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

    Batches.__getitem__ = batch(Batches.__getitem__)
elif EVENT == "save":
    import numpy as np

    savez, np.savez = np.savez, save
else:
    Path.replace = rename(Path.replace)  # type: ignore[method-assign]

runpy.run_path(f"stages/{STAGE}.py", run_name="__main__")
