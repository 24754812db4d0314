"""Save the full state of a training after each epoch, so that a killed training resumes and ends with the same bytes.

Keras' BackupAndRestore omits the state of dropout, the order of the images and the history, and a kill can leave a
half-written file. Here one file holds everything. It appears by rename, after it has been flushed to disk.
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
"""If this variable is set, a training starts from the beginning even if a checkpoint exists."""
DAYS = 30
"""Days after which an unused checkpoint is removed."""


class Checkpoint(NoCheckpoint):
    """The checkpoint of one training.

    Args:
        folder: the folder of this checkpoint.
        fresh: whether the user asked to start from the beginning.
    """

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self._file, self.fresh = folder / "state.npz", fresh
        self.exists = self._file.exists()
        self._warned = False

    def save(self, model: "keras.Model", epochs: list[Epoch], best: Weights) -> None:
        """Save the state after an epoch. If the disk is full, print a warning and continue.

        Args:
            model: the compiled model.
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
                    "if it is killed, it resumes from an earlier epoch",
                    file=sys.stderr,
                    flush=True,
                )

    def restore(self, model: "keras.Model") -> tuple[list[Epoch], Weights]:
        """Restore the saved state of a compiled model.

        Returns:
            The history so far and the weights of the best epoch; both empty without a checkpoint.
        """
        if not self.exists:
            return [], []
        with np.load(self._file, allow_pickle=False) as saved:
            for name, variable in _variables(model).items():
                variable.assign(saved[name])
            best = [saved[f"best{i}"] for i in range(sum(name.startswith("best") for name in saved))]
            return [Epoch(**row) for row in json.loads(str(saved["epochs"]))], best


def _variables(model: "keras.Model") -> Mapping[str, "keras.Variable"]:
    """Return the weights, the random generators' states and the optimizer's state, by group and position."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{group}{i}": variable for group, variables in groups.items() for i, variable in enumerate(variables)}


@contextmanager
def _durable_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, as `atomic_file` does; the file is flushed to disk before it is renamed."""
    with atomic_file(path) as partial:
        yield partial
        _flush(partial)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def checkpoint(key: str) -> Iterator[Checkpoint]:
    """Yield the checkpoint of a training, to one process at a time.

    When the block ends without an error the checkpoint stays, because DVC has not recorded the outputs yet; `forget`
    removes it later. After a UserError it is removed: a resumed training would fail in the same way.

    Args:
        key: key of the training.
    """
    root = state.checkpoints()
    folder = root / key
    _remove_old(root)
    with locks.exclusive(_lock(key), "trains the same model on the same data"):
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
    oldest = time.time() - DAYS * 86_400
    for folder in root.glob("*/"):
        with suppress(FileNotFoundError):  # another process removed it
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)


def unfinished() -> list[Path]:
    """List the checkpoint folders of interrupted trainings: those whose lock no process holds."""
    root = state.checkpoints()
    return [folder for folder in root.glob("*") if folder.is_dir() and not locks.holder(_lock(folder.name))]


def unless_in_use(key: str) -> AbstractContextManager[bool]:
    """Block the training of a key in other processes; yield False if one is already running.

    Args:
        key: key of the training.
    """
    return locks.try_exclusive(_lock(key))


def forget(model_md5: str) -> None:
    """Remove the checkpoints of the trainings that made a model that DVC has recorded.

    Args:
        model_md5: md5 of the model file.
    """
    for folder in unfinished():
        for training in journal.trainings(folder.name[:16]):
            made = [event.values["model_md5"] for event in journal.read(training) if event.kind == "trained"]
            if model_md5 in made:
                shutil.rmtree(folder, ignore_errors=True)
