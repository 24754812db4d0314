"""The model that is served, and where a new one comes from."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import numpy as np

from reprocnn.inference.classifier import Classifier
from reprocnn.inference.pictures import check_shape

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """Which model it is."""

    hash: str
    """md5 of the ONNX file, as in dvc.lock."""
    dataset: str
    """Name of the data set that it was trained on."""
    architecture: str
    """Name of the architecture."""
    experiment: str | None = None
    """Name of the DVC experiment that made it, if one did."""
    registry_version: str | None = None
    """Name and version in MLflow's registry, if it comes from there."""


@dataclass(frozen=True)
class Model:
    """A model with its version."""

    classifier: Classifier
    version: Version


class Source(Protocol):
    """Where the model comes from. Another one may be there later."""

    def current(self) -> object:
        """Return what identifies the model that is there now; it is equal as long as the model is the same.

        It is called every few seconds, in a thread.

        Raises:
            Exception: nothing can be said now; the server keeps the model that it has.
        """

    def load(self) -> Model:
        """Return the model that is there now.

        Raises:
            Exception: it can't be loaded; the server keeps the model that it has.
        """


class Served:
    """The model that answers. A new one takes its place between two requests.

    Args:
        source: where it comes from.

    Raises:
        Exception: the source has no model now.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._identity = source.current()
        self.model = _load(source)
        self.loads = {"loaded": 1, "failed": 0}
        """How often a model was loaded, and a new one could not be."""
        self._problem: tuple[object, str] | None = None

    def watch(self, seconds: float, ended: Event) -> None:
        """Look for a new model every few seconds, until the event is set."""
        while not ended.wait(seconds):
            self.refresh()

    def refresh(self) -> None:
        """Load the model of the source if it is another one; if that fails, keep the one that answers."""
        identity: object = None
        try:
            identity = self._source.current()
            if identity == self._identity:
                self._problem = None
                return
            model = _load(self._source)
        except Exception as error:  # of any source; the next look tries it again
            problem = (identity, " ".join(str(error).split()))
            if problem != self._problem:  # once, not every few seconds
                self.loads["failed"] += identity is not None
                no_look = "can't look for a new model, the old one stays: %s"
                no_load = "the new model can't be served, the old one stays: %s"
                _log.warning(no_look if identity is None else no_load, problem[1])
                self._problem = problem
            return
        before, self.model, self._identity, self._problem = self.model, model, identity, None
        if model.version != before.version:  # else the same file was written again
            self.loads["loaded"] += 1
            _log.info("now serving model %s", model.version.hash)


def _load(source: Source) -> Model:
    """Load a model and try it.

    Raises:
        Exception: it can't be loaded or can't answer.
        UnreadableError: its images are not square, so that pictures can't be prepared for it.
    """
    model = source.load()
    check_shape(model.classifier.info)
    model.classifier.probabilities(np.zeros((1, *model.classifier.info.image_shape), np.uint8))
    return model


class File:
    """A model in a file, which a new one may replace.

    Args:
        path: the ONNX file.
        white: value of white of images with more than 8 bits per channel; None: that of the training.
        experiment_with: returns the name of the DVC experiment that made the model with an md5, if one did.
    """

    def __init__(self, path: Path, white: float | None, experiment_with: Callable[[str], str | None]) -> None:
        self._path, self._white, self._experiment_with = path, white, experiment_with
        self._seen: tuple[int, int, int] | None = None

    def current(self) -> Any:
        """Return the time, the size and the number of the file; while there is none, those of the last one.

        DVC removes the outputs of a stage before it runs.

        Raises:
            OSError: there was no file yet, or it can't be looked at.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            if self._seen is None:
                raise
            return self._seen
        self._seen = found.st_mtime_ns, found.st_size, found.st_ino
        return self._seen

    def load(self) -> Model:
        """Open the file.

        Raises:
            OSError: it is missing, can't be read, or was replaced meanwhile.
            ValueError: it is not a model of this project.
        """
        before = self.current()
        classifier = Classifier(self._path, threads=1, white=self._white)
        hash = hashlib.md5(self._path.read_bytes(), usedforsecurity=False).hexdigest()
        if self.current() != before:
            raise OSError(f"{self._path} was replaced while it was read")
        info = classifier.info
        return Model(classifier, Version(hash, info.dataset, info.model, self._experiment_with(hash)))
