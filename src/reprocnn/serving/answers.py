"""Answer requests: from the images in a body to what is sent back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprocnn.inference.classifier import Classifier
from reprocnn.inference.info import ModelInfo
from reprocnn.inference.prediction import Prediction, as_object, predict_arrays
from reprocnn.serving.bodies import Picture
from reprocnn.serving.models import Model
from reprocnn.serving.refused import RefusedError

Decode = Callable[[ModelInfo, list[Picture]], NDArray[np.uint8]]
"""Function from images to their pixels as a model takes them, uint8 (n, height, width, channels), 0-255."""


@dataclass(frozen=True)
class Answered:
    """What is sent back, and what the metrics count."""

    content: dict[str, Any]
    """The answer, as values of JSON."""
    classes: list[str]
    """The class of each image."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a client wants to know about its images."""

    top: int
    """The number of classes in each answer."""
    min_confidence: float
    """An answer with a lower confidence, 0-1, is unsure."""
    calibrated: bool
    """Whether to apply the temperature that train fitted."""


def predict(model: Model, pictures: list[Picture], question: Question, decode: Decode) -> Answered:
    """Answer a request to /predict.

    Args:
        model: the model.
        pictures: the images.
        question: what the client wants to know.
        decode: decodes images for a model.

    Raises:
        RefusedError: an image can't be decoded, or the model has no temperature.
    """
    begun = perf_counter()
    classifier = _calibrated(model.classifier) if question.calibrated else model.classifier
    found = predict_arrays(classifier, decode(classifier.info, pictures), question.top)
    named = [replace(one, file=name) for one, (name, _) in zip(found, pictures, strict=True)]
    content = {
        "model": vars(model.version),
        "seconds": round(perf_counter() - begun, 6),
        "answers": [as_object(prediction, question.min_confidence) for prediction in named],
    }
    return Answered(content, _classes(found))


def _classes(predictions: list[Prediction]) -> list[str]:
    return [prediction.class_name for prediction in predictions]


def _calibrated(classifier: Classifier) -> Classifier:
    try:
        return classifier.calibrated()
    except ValueError as error:
        raise RefusedError(400, f"calibrated: {error}", "ask without `calibrated`") from None


def invocations(model: Model, pictures: list[Picture], decode: Decode) -> Answered:
    """Answer a request to /invocations with what MLflow's server answers for the logged model `classifier`.

    Args:
        model: the model.
        pictures: the images.
        decode: decodes images for a model.

    Raises:
        RefusedError: an image can't be decoded.
    """
    pixels = decode(model.classifier.info, pictures)
    probabilities = model.classifier.probabilities(pixels).astype(float)
    names = model.classifier.class_names
    rows = [
        {"class": names[row.argmax()], "confidence": float(row.max()), "probabilities": row.tolist()}
        for row in probabilities
    ]
    return Answered({"predictions": rows}, [row["class"] for row in rows])
