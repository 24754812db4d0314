"""Where the project keeps what outlives a stage: in `.dvc/tmp/reprocnn` of the user's checkout, which Git ignores."""

import os
from pathlib import Path

STAGE_LOCK = Path(".dvc/tmp/stage.lock")
"""Held by the stage that runs in a workspace; relative, because each experiment has a workspace of its own."""


def repository() -> Path:
    """Return the user's checkout, also from a `--temp` or `--queue` experiment, which works in a copy of it."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def _place(name: str) -> Path:
    return repository() / ".dvc" / "tmp" / "reprocnn" / name


def checkpoints() -> Path:
    """Return the folder with a folder per training that was cut off, and a lock per training that runs."""
    return _place("checkpoints")


def journals() -> Path:
    """Return the folder with a journal per training."""
    return _place("journals")


def store_lock() -> Path:
    """Return the lock on making the MLflow store."""
    return _place("store.lock")


def sync_lock() -> Path:
    """Return the lock on adding to MLflow what it lacks."""
    return _place("sync.lock")


def silent_tracker() -> Path:
    """Return the file whose time is that of the last stage which the tracker did not answer in time."""
    return _place("silent-tracker")


def warned() -> Path:
    """Return the file that names the dvc process which was last told of a HEAD off its branch."""
    return _place("warned")
