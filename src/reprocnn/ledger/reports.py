"""Read the reports of many results at once, without checking them out."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.history import HISTORY, Epoch, parse_history
from reprocnn.artifacts.predictions import PREDICTIONS, read_predictions
from reprocnn.artifacts.scores import METRICS
from reprocnn.artifacts.split import RAW_TEST, VALIDATION
from reprocnn.artifacts.training import TRAINING
from reprocnn.errors import UserError
from reprocnn.ledger.git import show
from reprocnn.ledger.record import TEST_PREFIX, Record, training_seconds
from reprocnn.ledger.revisions import LOCK, Result, in_cache, open_out
from reprocnn.params import PARAMS, read_params

if TYPE_CHECKING:  # the import takes half a second
    import pandas as pd

_NOT_METRICS = ("parameters", "mflops")


@dataclass(frozen=True)
class Reports:
    """What the reports of a result say.

    Args:
        result: the result.
        params: the parameters that made it.
        metrics: the metrics of the training, and those of the test split with the prefix `test_`.
        size: the trainable parameters and the MFLOPs of a forward pass per image.
        seconds: how long its epochs took; None if it was not trained in this checkout.
    """

    result: Result
    params: dict[str, Any]
    metrics: dict[str, float]
    size: dict[str, float]
    seconds: float | None

    @property
    def name(self) -> str:
        """The name of the experiment or revision."""
        return self.result.name

    @property
    def content(self) -> tuple[str, str]:
        """The md5 of the model and of the test metrics: equal for two names of the same training."""
        return self.result.model_md5, self.result.hashes[METRICS.as_posix()]


def read_reports(result: Result, trainings: list[Record]) -> Reports:
    """Read the reports of a result, out of Git or the workspace.

    Args:
        result: the result.
        trainings: the records of all journals, which know how long trainings took.

    Raises:
        UserError: a report is missing, or is not the one that dvc.lock names.
    """
    training = json.loads(_text(result, TRAINING))
    test = {f"{TEST_PREFIX}{name}": value for name, value in json.loads(_text(result, METRICS)).items()}
    return Reports(
        result=result,
        params=result.params,
        metrics={name: value for name, value in training.items() if name not in _NOT_METRICS} | test,
        size={name: training[name] for name in _NOT_METRICS if name in training},
        seconds=training_seconds(trainings, result.model_md5, result.origin),
    )


def read_epochs(result: Result) -> list[Epoch]:
    """Read the history of a result.

    Raises:
        UserError: it is missing, or is not a history.
    """
    return parse_history(HISTORY, _text(result, HISTORY))


def read_answers(result: Result) -> "pd.DataFrame":
    """Read the predictions of a result for the test split, with the columns of `write_predictions`.

    Raises:
        UserError: they are neither in the cache nor in a remote, or do not have the hashes of the images.
    """
    with open_out(result, PREDICTIONS) as file:
        try:
            return read_predictions(file)
        except UserError:
            problem = f"{PREDICTIONS} of {result.name} has no hashes of the images: an older version of this project"
            raise UserError(f"{problem} wrote it", f"run it again: {_command(result.params)}") from None


def read_test_images(result: Result) -> NDArray[np.uint8] | None:
    """Read the test images of a result; None if they are neither in DVC's cache nor in the workspace.

    Returns:
        uint8 (N, height, width, channels), 0-255, memory-mapped.
    """
    return _read_array(result, RAW_TEST, "images.npy")


def validation_size(result: Result) -> int | None:
    """Count the validation images of a result; None if they are neither in DVC's cache nor in the workspace."""
    labels = _read_array(result, VALIDATION, "labels.npy")
    return None if labels is None else len(labels)


def _read_array(result: Result, split: Path, name: str) -> NDArray[Any] | None:
    """Read a file of a split, memory-mapped; None if it is neither in DVC's cache nor in the workspace."""
    file = split / name
    expected = result.hashes.get(split.as_posix(), "")
    if expected and (listing := in_cache(expected)).exists():  # of a folder, the cache has a list of its files
        hashes = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_bytes())}
        file = in_cache(hashes[name])
    elif not result.has(Path(), split):
        return None
    return np.load(file, mmap_mode="r", allow_pickle=False) if file.exists() else None


def _command(params: dict[str, Any]) -> str:
    """Return the command that runs an experiment again with the code in the workspace."""
    here = read_params(PARAMS)
    settings = [f"-S {key}={_yaml(value)}" for key, value in params.items() if key in here and here[key] != value]
    return " ".join(["dvc exp run", *settings]) if settings else "dvc repro"


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(result: Result, file: Path) -> str:
    """Return the text of a report that Git tracks.

    Raises:
        UserError: it is missing, or is not the one that dvc.lock names.
    """
    if result.commit:
        text = show(result.commit, file)  # without the last end of line
        text += "\n" if text else ""
    else:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    fix = f"commit reports/ with {LOCK}, or dvc repro" if result.commit else "dvc repro"
    if not text:
        raise UserError(f"{result.name} has no {file}" + (" in Git" if result.commit else ""), fix)
    if hashlib.md5(text.encode()).hexdigest() != result.hashes.get(file.as_posix()):
        raise UserError(f"{file} of {result.name} is not the one that its {LOCK} names", fix)
    return text
