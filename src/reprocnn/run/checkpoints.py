"""Checkpoints: after each epoch all that the next one depends on, so that a killed training resumes to the same bytes.

Keras' own BackupAndRestore leaves out the state of dropout, the order of the images and the history, and its files can
be half-written. Here one file has it all. It appears by rename after it has reached the disk.
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
"""If set, a training starts from the beginning where it could resume."""
DAYS = 30
"""Days after which a checkpoint that no training resumed from is removed."""


class Checkpoint(NoCheckpoint):
    """The checkpoint of one training.

    Args:
        folder: of its own.
        fresh: whether the training was asked to start from the beginning.
    """

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self._file, self.fresh = folder / "state.npz", fresh
        self.exists = self._file.exists()
        self._warned = False

    def save(self, model: "keras.Model", epochs: list[Epoch], best: Weights) -> None:
        """Keep the state after an epoch; a full disk does not end the training.

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
                    f"warning: no checkpoint after epoch {len(epochs)} ({error.strerror}); the training goes on, "
                    "and starts further back if it is killed",
                    file=sys.stderr,
                    flush=True,
                )

    def restore(self, model: "keras.Model") -> tuple[list[Epoch], Weights]:
        """Bring a model, built and compiled, to the state that was kept.

        Returns:
            The history so far, and the weights of the best epoch; both empty where nothing was kept.
        """
        if not self.exists:
            return [], []
        with np.load(self._file, allow_pickle=False) as kept:
            for name, variable in _variables(model).items():
                variable.assign(kept[name])
            best = [kept[f"best{i}"] for i in range(sum(name.startswith("best") for name in kept))]
            return [Epoch(**row) for row in json.loads(str(kept["epochs"]))], best


def _variables(model: "keras.Model") -> Mapping[str, "keras.Variable"]:
    """Weights, the state of every generator, and the optimizer's moments, learning rate and step, by their place."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{group}{i}": variable for group, variables in groups.items() for i, variable in enumerate(variables)}


@contextmanager
def _durable_file(path: Path) -> Iterator[Path]:
    """Give a path to write to, as `atomic_file` does; the file has reached the disk before it appears."""
    with atomic_file(path) as partial:
        yield partial
        _to_disk(partial)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def checkpoint(key: str) -> Iterator[Checkpoint]:
    """Give the checkpoint of a training, to one process at a time.

    It stays when the block ends well: DVC has not yet recorded what was trained. `forget` removes it later. It goes
    away where a mistake of the user's ends the training: the same would end it again.

    Args:
        key: of the training.
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


def left() -> list[Path]:
    """Return the folders of trainings that were cut off: those of which no process holds the lock."""
    root = state.checkpoints()
    return [folder for folder in root.glob("*") if folder.is_dir() and not locks.holder(_lock(folder.name))]


def unless_in_use(key: str) -> AbstractContextManager[bool]:
    """Keep others from training for a block; give whether that worked, that is, no process trains.

    Args:
        key: of the training.
    """
    return locks.at_once(_lock(key))


def forget(model_md5: str) -> None:
    """Remove the checkpoints of trainings that made a model, which DVC has recorded.

    Args:
        model_md5: of the model's file.
    """
    for folder in left():
        for training in journal.trainings(folder.name[:16]):
            made = [event.values["model_md5"] for event in journal.read(training) if event.kind == "trained"]
            if model_md5 in made:
                shutil.rmtree(folder, ignore_errors=True)
