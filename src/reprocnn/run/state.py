"""Paths of the state that outlives a stage: `.dvc/tmp/reprocnn` in the user's checkout, which Git ignores."""

import hashlib
import os
from pathlib import Path

from reprocnn.errors import UserError

STAGE_LOCK = Path(".dvc/tmp/stage.lock")
"""Lock of the running stage; a relative path, because each experiment has its own workspace."""
READING = Path(".dvc/tmp/reprocnn/reading")
"""Folder with the images that download has read so far; a relative path, for the same reason."""

SHARED_VARIABLE = "REPROCNN_STATE"
"""Environment variable with the folder of the state; a sweep sets it for its trials."""


def repository() -> Path:
    """Return the user's checkout, even in a `--temp` or `--queue` experiment, which works in a copy of it."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def check_checkout() -> None:
    """Check that this process runs in a checkout.

    Raises:
        UserError: it does not.
    """
    if not (repository() / ".dvc").is_dir():
        problem = f"{Path.cwd()} is not a checkout of this project: it has no .dvc folder"
        raise UserError(problem, "cd to the checkout, or run `python -m reprocnn doctor` here to see what is missing")


def root() -> Path:
    """Return the folder of the state. A trial of a sweep shares that of the checkout in which the sweep runs."""
    shared = os.environ.get(SHARED_VARIABLE)
    return Path(shared) if shared else repository() / ".dvc" / "tmp" / "reprocnn"


def _path(name: str) -> Path:
    return root() / name


def checkpoints() -> Path:
    """Return the folder with a checkpoint folder and a lock file per training."""
    return _path("checkpoints")


def journals() -> Path:
    """Return the folder with a journal per training."""
    return _path("journals")


def store_lock() -> Path:
    """Return the lock file for creating the MLflow store."""
    return _path("store.lock")


def sync_lock() -> Path:
    """Return the lock file for `python -m reprocnn sync`."""
    return _path("sync.lock")


def promote_lock() -> Path:
    """Return the lock file for `python -m reprocnn promote`."""
    return _path("promote.lock")


def export_lock(output: Path) -> Path:
    """Return the lock file for exporting to a file or folder; `output` is its path without symbolic links."""
    return _path("exports") / f"{hashlib.md5(os.fsencode(output), usedforsecurity=False).hexdigest()}.lock"


def held_out_predictions(key: str) -> Path:
    """Return the file with the predictions of `audit` for training images; `key` is the hash of the training data."""
    return _path("audit") / f"{key}.npy"


def sweeps() -> Path:
    """Return the folder with the studies of sweeps, and the clones of their running trials."""
    return _path("sweeps")


def silent_tracker() -> Path:
    """Return the file whose modification time is when the tracker last timed out; absent if it answered since."""
    return _path("silent-tracker")


def head_warning() -> Path:
    """Return the file with the start time of the dvc process that last got the warning about a detached HEAD."""
    return _path("warned")
