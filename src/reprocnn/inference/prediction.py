"""Classify many pictures, reading and computing on all cores."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classifier import BATCH, Classifier
from .pictures import read_picture
from .unreadable import UnreadableError

Read = Callable[[], bytes]


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
    running: deque[Future[list[Answer]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        for batch in _batches(pictures):
            running.append(pool.submit(_answer, classifier, batch, top))
            if len(running) > 2 * cores:  # files that are read but not answered must not fill the memory
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()


def _batches(pictures: Iterable[tuple[str, Read]]) -> Iterator[list[tuple[str, Read]]]:
    """Read the files of pictures; yield them in batches."""
    batch = []
    for name, read in pictures:
        batch.append((name, _fetch(read)))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _fetch(read: Read) -> Read:
    """Read a file; return a function that returns its bytes or raises the error of reading it."""
    try:
        content = read()
    except (OSError, UnreadableError) as error:
        failure = error

        def fail() -> bytes:
            raise failure

        return fail
    return lambda: content


def _answer(classifier: Classifier, batch: list[tuple[str, Read]], top: int) -> list[Answer]:
    """Decode and classify a batch; return the answers in its order."""
    answers: dict[int, Answer] = {}
    images: dict[int, NDArray[np.uint8]] = {}
    for number, (name, read) in enumerate(batch):
        try:
            images[number] = read_picture(classifier.info, name, read)
        except UnreadableError as error:
            cause = f"{error.cause}: {error.detail}" if error.detail else error.cause
            answers[number] = Unreadable(name, cause, error.fix)
        except FileNotFoundError:
            answers[number] = Unreadable(name, "no such file", "check its name")
    if images:
        probabilities = classifier.probabilities(np.stack(list(images.values())))
        names = [batch[number][0] for number in images]
        answers |= zip(images, _answers(classifier, names, probabilities, top), strict=True)
    return [answers[number] for number in range(len(batch))]


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
