"""Use trained models from Python, for example in a notebook: `reprocnn.load()` and `reprocnn.load_experiment(NAME)`.

Neither imports TensorFlow or MLflow.
"""

import io
import json
import os
from collections.abc import Iterable
from contextlib import chdir
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.artifacts.scores import METRICS
from reprocnn.artifacts.training import TRAINING
from reprocnn.data.pictures import list_pictures
from reprocnn.errors import UserError
from reprocnn.inference.classifier import Classifier
from reprocnn.inference.prediction import Prediction, predict_arrays, predict_pictures
from reprocnn.ledger import model_files, revisions
from reprocnn.ledger.git import show
from reprocnn.run.state import check_checkout, repository

if TYPE_CHECKING:  # the import takes half a second
    import pandas as pd

Pictures = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | NDArray[np.generic]
"""Files, folders and archives, or images (n, height, width, channels), raw pixels 0-255."""


@dataclass(frozen=True)
class _Results:
    """The reports of a training and the parameters that made it."""

    training: str
    test: str
    history: str
    params: dict[str, Any]


class TrainedModel:
    """A trained model, its results and its parameters.

    Args:
        classifier: the model itself; `classifier.probabilities(images)` has the probability of every class.
        results: its results; None if they are unknown.
    """

    def __init__(self, classifier: Classifier, results: _Results | None) -> None:
        self.classifier, self._known = classifier, results

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class name of each output, in output order."""
        return self.classifier.class_names

    def predict(self, pictures: Pictures, top: int = 3, *, calibrated: bool = False) -> list[Prediction]:
        """Classify pictures. `pandas.DataFrame` makes a table of the answers.

        Args:
            pictures: one path or several, of images, folders or archives; or an array of images.
            top: the number of classes in each answer.
            calibrated: whether to apply the temperature that train fitted, so that confidences agree with accuracy.

        Raises:
            UserError: a file can't be read as an image, or the model has no temperature.
            ValueError: images in an array have another shape than the model takes.
        """
        classifier = self._calibrated() if calibrated else self.classifier
        if isinstance(pictures, np.ndarray):
            return predict_arrays(classifier, pictures, top)
        paths = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
        answers = []
        for answer in predict_pictures(classifier, list_pictures(map(os.fspath, paths)), top):
            if not isinstance(answer, Prediction):
                raise UserError(f"{answer.file}: {answer.cause}", answer.fix)
            answers.append(answer)
        return answers

    def _calibrated(self) -> Classifier:
        try:
            return self.classifier.calibrated()
        except ValueError as error:
            raise UserError(str(error), "train again: dvc repro") from None

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The metrics of the training, and those of the test split with the prefix `test_`."""
        test = {f"test_{name}": value for name, value in json.loads(self._results.test).items()}
        return json.loads(self._results.training) | test

    @cached_property
    def history(self) -> "pd.DataFrame":
        """The losses, accuracies and learning rate of each epoch, one row per epoch."""
        import pandas as pd

        return pd.read_csv(io.StringIO(self._results.history))

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that made the model and its results, as in params.yaml."""
        return self._results.params

    @property
    def _results(self) -> _Results:
        if not self._known:
            raise UserError(
                "the results of this model are not known: it is not the model of the dvc.lock beside it",
                "dvc repro, or take the model of an experiment: reprocnn.load_experiment(NAME)",
            )
        return self._known


def load(path: str | os.PathLike[str] = ONNX_MODEL, white: float | None = None) -> TrainedModel:
    """Load a model from its ONNX file.

    Args:
        path: the file. Its results are those of the checkout that it is in, if it has any.
        white: value of white of pictures with more than 8 bits per channel, for example 4095 for 12 bits; it is used if
            the file of a picture lacks it. None: that of the training.

    Raises:
        OSError: the file does not exist or can't be read.
        ValueError: it is not an ONNX file of this project, or `white` is not above 0.
    """
    file = Path(path).absolute()
    classifier, folder = Classifier(file, threads=1, white=white), file.parent.parent
    try:
        stages = revisions.lock_of("", folder)
    except UserError:  # not a checkout of this project, or nothing ran in it
        return TrainedModel(classifier, None)
    expected = {out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs", [])}
    reports = {name: folder / name for name in (TRAINING, METRICS, HISTORY)}
    current = {ONNX_MODEL: file} | reports
    if any(not f.exists() or md5(f) != expected.get(name.as_posix()) for name, f in current.items()):
        return TrainedModel(classifier, None)
    training, test, history = (report.read_text() for report in reports.values())
    return TrainedModel(classifier, _Results(training, test, history, revisions.params_of(stages)))


def load_experiment(revision: str, white: float | None = None) -> TrainedModel:
    """Load the model of a DVC experiment, or of another commit, branch or tag, from DVC's cache or a DVC remote.

    Call it in the checkout, or in a folder inside it.

    Args:
        revision: the name or commit of the experiment, or another commit, branch or tag.
        white: as in `load`.

    Raises:
        UserError: this is not a checkout, the experiment does not exist, or neither the cache nor a remote has its
            model.
    """
    check_checkout()
    with chdir(repository()), model_files.of_revision(revision) as file:
        result = revisions.find(revision)
        training, test, history = (show(result.commit, report) for report in (TRAINING, METRICS, HISTORY))
        results = _Results(training, test, history, result.params)
        return TrainedModel(Classifier(file, threads=1, white=white), results)
