"""What every stage needs around its `main`.

- One stage per workspace. A stage exits when its dvc process dies, and cleans up when it is told to end.
- Errors in two lines, with a non-zero exit status, and no traceback for what the user can put right.
- After evaluate and plot: the MLflow run of the model gets what they made, and the model's checkpoint goes away.
"""

import io
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import MODEL
from reprocnn.params import PARAMS
from reprocnn.run import checkpoints, exits, locks, mirror, orphans, state

_AFTER_TRAIN = ("evaluate", "plot")


def start() -> None:
    """Prepare the process: set what MLflow reads from the environment, and end when the dvc process that runs it dies.

    Call this before the first thread and before the imports of the stage, which take seconds.
    """
    os.environ.update(mirror.settings())
    orphans.end_with_dvc()


def run(stage: str, main: Callable[[], None]) -> None:
    """Run a stage; exit with 1 and two lines of text after an error, 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        stage: its name in dvc.yaml.
        main: what it does.
    """
    exits.exit_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a class may have a name that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        status = exits.status_of(lambda: _exclusively(stage, main))
    except Exception:  # a bug
        if not mirror.is_busy():
            raise
        traceback.print_exc()
        status = 1
    finally:
        with suppress(OSError):
            _renew(PARAMS)
        mirror.note()
    mirror.leave(status)


def _exclusively(stage: str, main: Callable[[], None]) -> None:
    with locks.exclusive(state.STAGE_LOCK, "runs a stage in this workspace"):
        main()
        if stage in _AFTER_TRAIN and MODEL.exists():  # DVC starts these when it has recorded what train made
            checkpoints.forget(md5(MODEL))
            mirror.show(stage)


def _renew(file: Path) -> None:
    """Give a file another modification time, to the second, than the one that DVC wrote to Git's index.

    DVC puts params.yaml into the index as it changes it; Git then takes a file of that size and second for unchanged,
    and `git checkout` does not bring the committed one back.
    """
    before = file.stat().st_mtime
    now = time.time()
    os.utime(file, (now, now if int(now) > int(before) else before + 1))
