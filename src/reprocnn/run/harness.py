"""Run the `main` of a stage.

- Only one stage runs per workspace. A stage exits when its dvc process dies, and cleans up after SIGTERM.
- An error that the user can fix gives two lines of text and a non-zero exit status, without a traceback.
- After evaluate and plot, their outputs are logged to the model's MLflow run, and the model's checkpoint is removed.
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
    """Set the environment variables for MLflow, and make this process exit when its dvc process dies.

    Call this before the first thread starts and before the imports of the stage, which take seconds.
    """
    os.environ.update(mirror.settings())
    orphans.exit_with_dvc()


def run(stage: str, main: Callable[[], None]) -> None:
    """Run a stage. The exit status is 1 after an error, 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        stage: the name of the stage in dvc.yaml.
        main: the function that does its work.
    """
    exits.exit_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # class names may not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        status = exits.run(lambda: _run_locked(stage, main))
    except Exception:  # a bug
        if not mirror.is_busy():
            raise
        traceback.print_exc()
        status = 1
    finally:
        with suppress(OSError):
            _advance_mtime(PARAMS)
        mirror.warn_if_head_detached()
    mirror.exit_process(status)


def _run_locked(stage: str, main: Callable[[], None]) -> None:
    with locks.exclusive(state.STAGE_LOCK, "is running a stage in this workspace"):
        main()
        if stage in _AFTER_TRAIN and MODEL.exists():  # DVC has recorded the model when it starts these stages
            checkpoints.remove(md5(MODEL))
            mirror.log_stage(stage)


def _advance_mtime(file: Path) -> None:
    """Advance the modification time of a file by at least one second.

    DVC adds params.yaml to Git's index when it changes the file. Git then treats a file with the same size and the same
    modification time in seconds as unchanged, so `git checkout` would not restore the committed version.
    """
    before = file.stat().st_mtime
    now = time.time()
    os.utime(file, (now, now if int(now) > int(before) else before + 1))
