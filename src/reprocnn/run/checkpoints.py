"""Save a checkpoint after each epoch, so that a killed training resumes and ends with the same bytes.

Keras' BackupAndRestore omits the state of dropout, the order of the images and the history, and may leave a
half-written file. Here one file has the whole state. It is flushed to disk and then renamed into place.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reprocnn.artifacts.files import atomic_file
from reprocnn.artifacts.history import Epoch
from reprocnn.errors import UserError
from reprocnn.run import journal, locks, state
from reprocnn.training.hooks import NoCheckpoint, Weights

if TYPE_CHECKING:  # the import takes seconds
    import keras

FRESH_VARIABLE = "REPROCNN_FRESH"
"""If set, ignore an existing checkpoint and start from the first epoch."""
MAX_AGE_DAYS = 30
"""Age at which an unused checkpoint is removed."""


class Checkpoint(NoCheckpoint):
    """The checkpoint of one training.

    Args:
        folder: the folder of this checkpoint only.
        fresh: whether the user asked to start from the first epoch.
    """

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self._file, self.fresh = folder / "state.npz", fresh
        self.exists = self._file.exists()
        self._warned = False

    def save(self, model: "keras.Model", epochs: list[Epoch], best: Weights) -> None:
        """Save the state after an epoch. If the disk is full, warn once and continue the training.

        Args:
            model: built and compiled.
            epochs: the history so far.
            best: the weights of the best epoch so far; may be empty.
        """
        arrays = {name: variable.numpy() for name, variable in _variables(model).items()}
        arrays |= {f"best{i}": weights for i, weights in enumerate(best)}
        history = np.array(json.dumps([asdict(epoch) for epoch in epochs]))
        try:
            with _durable_file(self._file) as partial, partial.open("wb") as file:
                np.savez(file, epochs=history, **arrays)
        except OSError as error:
            if not self._warned:
                self._warned = True
                print(
                    f"warning: no checkpoint after epoch {len(epochs)} ({error.strerror}); the training continues; "
                    "if it is killed, it resumes at an earlier epoch",
                    file=sys.stderr,
                    flush=True,
                )

    def restore(self, model: "keras.Model") -> tuple[list[Epoch], Weights]:
        """Restore a model to the saved state.

        Args:
            model: built and compiled.

        Returns:
            The history so far and the weights of the best epoch; both empty if there is no checkpoint.
        """
        if not self.exists:
            return [], []
        with np.load(self._file, allow_pickle=False) as saved:
            for name, variable in _variables(model).items():
                variable.assign(saved[name])
            best = [saved[f"best{i}"] for i in range(sum(name.startswith("best") for name in saved))]
            return [Epoch(**row) for row in json.loads(str(saved["epochs"]))], best


def _variables(model: "keras.Model") -> Mapping[str, "keras.Variable"]:
    """Return the weights, random-generator states and optimizer variables, named by group and position."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{group}{i}": variable for group, variables in groups.items() for i, variable in enumerate(variables)}


@contextmanager
def _durable_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, as `atomic_file` does, and flush the file to disk before the rename."""
    with atomic_file(path) as partial:
        yield partial
        _flush_to_disk(partial)
    _flush_to_disk(path.parent)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def checkpoint(key: str) -> Iterator[Checkpoint]:
    """Yield the checkpoint of a training, to one process at a time.

    The checkpoint stays after a successful block, because DVC has not recorded the model yet; `remove` deletes it
    later. After a UserError it is deleted, because resuming would only repeat the error.

    Args:
        key: the key of the training.
    """
    root = state.checkpoints()
    folder = root / key
    _remove_old(root)
    with locks.exclusive(_lock(key), "is training the same model on the same data"):
        if fresh := bool(os.environ.get(FRESH_VARIABLE)):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            yield Checkpoint(folder, fresh)
        except UserError:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _lock(key: str) -> Path:
    return state.checkpoints() / f"{key}.lock"


def _remove_old(root: Path) -> None:
    oldest = time.time() - MAX_AGE_DAYS * 86_400
    for folder in root.glob("*/"):
        with suppress(FileNotFoundError):  # another process removed it
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)


def leftover_folders() -> list[Path]:
    """Return the checkpoint folders that no running training uses."""
    root = state.checkpoints()
    return [folder for folder in root.glob("*") if folder.is_dir() and not locks.holder(_lock(folder.name))]


def try_lock(key: str) -> AbstractContextManager[bool]:
    """Lock a training for the block; yield whether that worked. False: a process is running this training.

    Args:
        key: the key of the training.
    """
    return locks.try_lock(_lock(key))


def remove(model_md5: str) -> None:
    """Remove the checkpoints of the trainings that made a model, once DVC has recorded it.

    Args:
        model_md5: md5 of the model file.
    """
    for folder in leftover_folders():
        for training in journal.trainings(folder.name[:16]):
            trained = [event.values["model_md5"] for event in journal.read(training) if event.kind == "trained"]
            if model_md5 in trained:
                shutil.rmtree(folder, ignore_errors=True)
