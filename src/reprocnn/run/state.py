"""Paths of what outlives a stage: in `.dvc/tmp/reprocnn` of the user's checkout, which Git ignores."""

import os
from pathlib import Path

STAGE_LOCK = Path(".dvc/tmp/stage.lock")
"""The lock of the stage that runs in a workspace; relative, because each experiment has its own workspace."""


def repository() -> Path:
    """Return the user's checkout, even in a `--temp` or `--queue` experiment, which runs in a copy of it."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def _place(name: str) -> Path:
    return repository() / ".dvc" / "tmp" / "reprocnn" / name


def checkpoints() -> Path:
    """Return the folder with one checkpoint folder and one lock per training."""
    return _place("checkpoints")


def journals() -> Path:
    """Return the folder with one journal per training."""
    return _place("journals")


def store_lock() -> Path:
    """Return the lock for creating the MLflow store."""
    return _place("store.lock")


def sync_lock() -> Path:
    """Return the lock for adding missing data to MLflow."""
    return _place("sync.lock")


def silent_tracker() -> Path:
    """Return the file whose modification time is the last timeout of the tracker."""
    return _place("silent-tracker")


def head_warning() -> Path:
    """Return the file with the start time of the dvc process that was last warned about HEAD."""
    return _place("warned")
