"""Classify many pictures, reading and computing on all cores."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classifier import BATCH, Classifier
from .pictures import read_picture
from .unreadable import UnreadableError

Read = Callable[[], bytes]
T = TypeVar("T")
R = TypeVar("R")
_BATCH_BYTES = 2**25
"""A batch with more bytes of files than this gets no further file, so that large photographs do not fill the memory."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture."""

    file: str
    """Name of the file; empty for an array."""
    class_name: str
    """The most probable class."""
    confidence: float
    """Its probability, 0-1."""
    top: tuple[tuple[str, float], ...]
    """The most probable classes with their probabilities, the most probable first."""


@dataclass(frozen=True)
class Unreadable:
    """A file that could not be read as a picture."""

    file: str
    """Name of the file."""
    cause: str
    """What is wrong."""
    fix: str
    """What to do about it."""


Answer = Prediction | Unreadable


def as_object(prediction: Prediction, min_confidence: float) -> dict[str, Any]:
    """Return an answer as values of JSON.

    Args:
        prediction: the answer.
        min_confidence: with a lower confidence, 0-1, it is `unsure`.
    """
    return {
        "file": prediction.file,
        "class": prediction.class_name,
        "confidence": rounded(prediction.confidence),
        "unsure": prediction.confidence < min_confidence,
        "top": [{"class": name, "probability": rounded(probability)} for name, probability in prediction.top],
    }


def rounded(probability: float) -> float:
    """Return a probability with the digits that do not depend on the CPU."""
    return round(probability, 6)


def predict_arrays(classifier: Classifier, images: ArrayLike, top: int) -> list[Prediction]:
    """Classify images in an array.

    Args:
        classifier: the model.
        images: (n, height, width, channels) of any number type, raw pixels 0-255, of the size that the model takes.
        top: the number of classes in each answer.

    Raises:
        ValueError: the images have another shape.
    """
    probabilities = classifier.probabilities(images)
    return _answers(classifier, [""] * len(probabilities), probabilities, top)


def predict_pictures(classifier: Classifier, pictures: Iterable[tuple[str, Read]], top: int) -> Iterator[Answer]:
    """Classify pictures; yield the answers in their order. Each is prepared as `dataset: folder` does.

    Args:
        classifier: the model, opened with one thread per operation: each core works on a batch of its own.
        pictures: the name of each picture, and a function that reads its file. The function is called before the next
            picture is taken.
        top: the number of classes in each answer.
    """
    cores = os.cpu_count() or 1
    # Threads that decode and threads that compute: small files are decoded mostly in Python, one at a time; a thread
    # that does both would wait for its turn to decode while it could compute.
    decoders, models, stopped = ThreadPoolExecutor(cores), ThreadPoolExecutor(cores), Event()
    try:
        decoded = _in_order(
            lambda batch: decoders.submit(_decode, classifier, batch, stopped), _batches(pictures), cores
        )
        for answers in _in_order(lambda batch: models.submit(_answer, classifier, top, batch), decoded, cores):
            yield from answers
    finally:  # after Ctrl-C, no thread begins another picture
        stopped.set()
        for pool in (decoders, models):
            pool.shutdown(cancel_futures=True)


def _in_order(submit: Callable[[T], Future[R]], items: Iterable[T], cores: int) -> Iterator[R]:
    """Yield the results of items, in their order.

    Args:
        submit: starts the work on an item.
        items: the items. They are taken a few ahead of the results, so that they do not fill the memory.
        cores: the number of items that are worked on at once.
    """
    running: deque[Future[R]] = deque()
    for item in items:
        running.append(submit(item))
        if len(running) > cores + 1:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _batches(pictures: Iterable[tuple[str, Read]]) -> Iterator[list[tuple[str, Read]]]:
    """Read the files of pictures; yield them in batches."""
    batch, size = [], 0
    for name, read in pictures:
        fetched, bytes_read = _fetch(read)
        batch.append((name, fetched))
        size += bytes_read
        if len(batch) == BATCH or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _fetch(read: Read) -> tuple[Read, int]:
    """Read a file; return a function that returns its bytes or raises the error of reading it, and the bytes read."""
    try:
        content = read()
    except (OSError, UnreadableError) as error:
        failure = error

        def fail() -> bytes:
            raise failure

        return fail, 0
    return lambda: content, len(content)


Decoded = list[tuple[str, NDArray[np.uint8] | Unreadable]]
"""The name of each picture of a batch, and its pixels or why it has none."""


def _decode(classifier: Classifier, batch: list[tuple[str, Read]], stopped: Event) -> Decoded:
    """Decode a batch of pictures; end early once `stopped` is set."""
    return [(name, _pixels(classifier, name, read)) for name, read in batch if not stopped.is_set()]


def _pixels(classifier: Classifier, name: str, read: Read) -> NDArray[np.uint8] | Unreadable:
    try:
        return read_picture(classifier.info, name, read)
    except UnreadableError as error:
        cause = f"{error.cause}: {error.detail}" if error.detail else error.cause
        return Unreadable(name, cause, error.fix)
    except FileNotFoundError:
        return Unreadable(name, "no such file", "check its name")


def _answer(classifier: Classifier, top: int, batch: Decoded) -> list[Answer]:
    """Classify a decoded batch; return the answers in its order."""
    readable = [(name, pixels) for name, pixels in batch if not isinstance(pixels, Unreadable)]
    if not readable:
        return [pixels for _, pixels in batch if isinstance(pixels, Unreadable)]
    names, images = zip(*readable, strict=True)
    predictions = iter(_answers(classifier, names, classifier.probabilities(np.stack(images)), top))
    return [pixels if isinstance(pixels, Unreadable) else next(predictions) for _, pixels in batch]


def _answers(
    classifier: Classifier, names: Sequence[str], probabilities: NDArray[np.float32], top: int
) -> list[Prediction]:
    """Return an answer per row of probabilities, float32 (n, classes). Of equal ones the first class counts."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, : max(top, 1)]
    found = []
    for name, row, classes in zip(names, probabilities, order, strict=True):
        best = tuple((classifier.class_names[number], float(row[number])) for number in classes)
        found.append(Prediction(name, *best[0], best[:top]))
    return found
