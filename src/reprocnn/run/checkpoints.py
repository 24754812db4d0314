"""Checkpoints: after each epoch all that the next one depends on, so that a killed training goes on to the same bytes.

Keras' own BackupAndRestore leaves out the state of dropout, the order of the images and the history, and its files can
be half-written. Here one file has it all. It appears by rename after it has reached the disk.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reprocnn.artifacts.files import durable_file
from reprocnn.artifacts.history import Epoch
from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.run import locks
from reprocnn.run.state import kept
from reprocnn.training.hooks import NoCheckpoint, Weights

FRESH_VARIABLE = "REPROCNN_FRESH"
"""Set, a training starts anew where it could go on."""
DAYS = 30
"""A checkpoint that nothing has gone on from for so long is removed."""


def key(**parts: Any) -> str:
    """A name for a training, from all that its result depends on: params, data, code, versions, machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class Checkpoint(NoCheckpoint):
    """The checkpoint of one training.

    Args:
        folder: of its own.
        anew: whether the training was asked to start anew.
    """

    def __init__(self, folder: Path, anew: bool = False) -> None:
        self._file, self.anew = folder / "state.npz", anew
        self.exists = self._file.exists()
        self._warned = False

    def save(self, model: keras.Model, epochs: list[Epoch], best: Weights) -> None:
        """Keep the state after an epoch; a disk that is full does not end the training."""
        rows = json.dumps([asdict(epoch) for epoch in epochs])
        arrays = _arrays(model) | {f"best{i}": weights for i, weights in enumerate(best)}
        try:
            with durable_file(self._file) as partial, partial.open("wb") as file:
                np.savez(file, rows=np.array(rows), **arrays)  # type: ignore[arg-type]
        except OSError as error:
            if not self._warned:
                self._warned = True
                print(
                    f"warning: no checkpoint after epoch {len(epochs)} ({error.strerror}); the training goes on, "
                    "and starts further back if it is killed",
                    file=sys.stderr,
                    flush=True,
                )

    def restore(self, model: keras.Model) -> tuple[list[Epoch], Weights]:
        """Bring a model, built and compiled, to the state that was kept."""
        if not self.exists:
            return [], []
        with np.load(self._file, allow_pickle=False) as kept_arrays:
            for name, variable in _variables(model).items():
                variable.assign(kept_arrays[name])
            best = [kept_arrays[f"best{i}"] for i in range(sum(name.startswith("best") for name in kept_arrays))]
            return [Epoch(**row) for row in json.loads(str(kept_arrays["rows"]))], best


def _variables(model: keras.Model) -> Mapping[str, keras.Variable]:
    """Weights, the state of every generator, and the optimizer's moments, learning rate and step, by their place."""
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{group}{i}": variable for group, variables in groups.items() for i, variable in enumerate(variables)}


def _arrays(model: keras.Model) -> dict[str, Any]:
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model).items()}


@contextmanager
def checkpoint(training: str) -> Iterator[Checkpoint]:
    """The checkpoint of a training, for one process at a time.

    It stays when the block ends well: DVC has not yet recorded what was trained. Evaluate, which runs after that,
    removes it. It goes away where a mistake of the user's ends the training: the same would end it again.

    Args:
        training: its `key`.
    """
    root = kept("checkpoints")
    folder = root / training
    _clean(root)
    with locks.exclusive(root / f"{training}.lock", "trains the same model on the same data"):
        if anew := bool(os.environ.get(FRESH_VARIABLE)):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            yield Checkpoint(folder, anew)
        except UserError:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _clean(root: Path) -> None:
    """Remove what nobody came back for."""
    oldest = time.time() - DAYS * 86_400
    for folder in root.glob("*/"):
        with suppress(FileNotFoundError):  # another process removed it
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)
