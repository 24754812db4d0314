"""Run the `main` of a stage.

- One stage runs per workspace. A stage exits when its dvc process dies, and cleans up after SIGTERM.
- An error that the user can fix is two lines and a non-zero exit status, without a traceback.
- After evaluate and plot, their outputs go to the MLflow run of the model, and its checkpoint is removed.
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
    """Prepare the process: set the environment for MLflow, and watch the dvc process that started this one.

    Call this before the first thread starts and before the imports of the stage, which take seconds.
    """
    os.environ.update(mirror.settings())
    orphans.end_with_dvc()


def run(stage: str, main: Callable[[], None]) -> None:
    """Run a stage; exit with 1 and two lines of text after an error, 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        stage: the name of the stage in dvc.yaml.
        main: the work of the stage.
    """
    exits.exit_on_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the terminal may not be able to show the name of a class
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
        mirror.warn_about_head()
    mirror.exit_stage(status)


def _exclusively(stage: str, main: Callable[[], None]) -> None:
    with locks.exclusive(state.STAGE_LOCK, "runs a stage in this workspace"):
        main()
        if stage in _AFTER_TRAIN and MODEL.exists():  # when DVC starts these, it has recorded the outputs of train
            checkpoints.forget(md5(MODEL))
            mirror.show_stage(stage)


def _renew(file: Path) -> None:
    """Set a file's modification time to another second than the one in Git's index.

    When DVC changes params.yaml it also updates Git's index. Git then treats a file with the same size and the same
    second as unchanged, so that `git checkout` would not restore the committed file.
    """
    before = file.stat().st_mtime
    now = time.time()
    os.utime(file, (now, now if int(now) > int(before) else before + 1))
