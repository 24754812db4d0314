"""Find labels that are probably wrong, with models that were not trained on these images."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import content_md5, write_bytes
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.artifacts.split import RAW_TRAIN, rows_per_chunk
from reprocnn.commands.audit.findings import Audited, Finding
from reprocnn.data.progress import progress
from reprocnn.evaluation.label_errors import label_errors
from reprocnn.inference.classifier import Classifier
from reprocnn.run import state

_FOLDS = 4


def wrong_labels(data: Audited, train: bool) -> list[Finding]:
    """Find wrong labels: of validation and test images with the trained model, of training images with new nets.

    Args:
        data: the data set.
        train: whether to train nets for the training images.
    """
    findings: list[Finding] = []
    if (model := _model_of(data)) is not None:
        rows = np.flatnonzero(data.split != "train")
        findings += _findings(data, rows, _predict(model, data, rows), "the model")
    if train:
        rows = np.flatnonzero(data.split == "train")
        findings += _findings(data, rows, _predict_in_folds(data, rows), "a net that was trained without it")
    return findings


def _findings(data: Audited, rows: NDArray[np.int64], probabilities: NDArray[np.float64], who: str) -> list[Finding]:
    """Return the findings among the images at `rows`, int64 (n,), by probabilities, float64 (n, classes)."""
    findings: list[Finding] = []
    for index, suggested, score in label_errors(data.labels[rows], probabilities).itertuples(index=False):
        row, name = int(rows[index]), data.class_names[suggested]
        reason = f"labelled {data.label(row)}; {who} says {name} ({probabilities[index, suggested]:.0%})"
        findings.append(Finding("label", (row,), float(score), reason, name))
    return findings


def _model_of(data: Audited) -> Classifier | None:
    """Return the trained model if it is one of this data set, else None, with a message."""
    try:
        model = Classifier(ONNX_MODEL)
        of_these_data = (model.info.dataset, model.class_names) == (data.name, data.class_names)
        problem = "" if of_these_data else "is of other data"
    except (OSError, ValueError):
        problem = "is missing or damaged"
    if problem:  # to standard error: standard output has the findings
        note = f"note: {ONNX_MODEL} {problem}: labels of validation and test images are not checked"
        print(note, file=sys.stderr)
    return None if problem else model


def _predict(model: Classifier, data: Audited, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Predict the images at `rows`, int64 (n,); return float64 (n, classes), 0-1."""
    size = rows_per_chunk(data.image(0).shape, most=512)
    parts: list[NDArray[np.float32]] = []
    with progress(len(rows), "predicting", unit="image") as bar:
        for start in range(0, len(rows), size):
            chunk = rows[start : start + size]
            parts.append(model.probabilities(np.stack([data.image(row) for row in chunk.tolist()])))
            bar.update(len(chunk))
    return np.concatenate(parts).astype(np.float64)


def _predict_in_folds(data: Audited, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Predict training images with nets that were trained on other folds; the result is kept for the next audit.

    Returns:
        float64 (n, classes), 0-1, in the order of `rows`.
    """
    kept = state.held_out_predictions(content_md5(RAW_TRAIN))
    if (found := _read(kept, (len(rows), len(data.class_names)))) is not None:
        return found
    from reprocnn import backend
    from reprocnn.training.cross_validation import predict_held_out  # imports TensorFlow, which takes seconds

    backend.prepare(0, 0, portable=False)
    images = data.splits[0].images
    with progress(_FOLDS, "training on the other folds", unit="fold") as bar:
        probabilities = predict_held_out(
            images, rows, data.labels[rows], len(data.class_names), folds=_FOLDS, done=bar.update
        )
    content = BytesIO()
    np.save(content, probabilities)
    write_bytes(kept, content.getvalue())
    return probabilities


def _read(path: Path, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return the predictions of an earlier audit, or None if there are none of this shape."""
    if not path.is_file():
        return None
    found: NDArray[np.float64] = np.load(path, allow_pickle=False)
    return found if found.shape == shape else None
