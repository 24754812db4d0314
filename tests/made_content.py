"""Make the content of a report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from made_files import NO_COPIES, made_files
from reprocnn.artifacts.explanations import Explanations
from reprocnn.artifacts.history import Epoch, best_epoch
from reprocnn.artifacts.model_card import ModelCard
from reprocnn.artifacts.robustness import COLUMNS
from reprocnn.artifacts.split import Split
from reprocnn.artifacts.training import TrainingSummary
from reprocnn.evaluation import confidence, metrics, predictions
from reprocnn.evaluation.calibration import calibrate
from reprocnn.evaluation.examples import examples
from reprocnn.evaluation.robustness import not_measured
from reprocnn.evaluation.suspicious_labels import suspicious_labels
from reprocnn.inference.temperature import apply_temperature
from reprocnn.reporting import data_findings, samples
from reprocnn.reporting.report import Content


def made_content(
    names: list[str] | None = None,
    n: int = 60,
    side: int = 8,
    channels: int = 1,
    epochs: int = 3,
    right: float = 0.8,
    robustness: bool = True,
    copies: Sequence[tuple[str, str, str, float]] = (),
) -> Content:
    """Make the content of a report about random images.

    Args:
        names: the class names; by default three with characters that have a meaning in HTML or Markdown.
        n: number of test images, and of training images.
        side: height and width of the images.
        channels: 1 or 3.
        epochs: number of epochs.
        right: fraction of the images that are classified correctly, about.
        robustness: whether robustness was measured.
        copies: pairs of copies, as rows of copies.csv. The training images are `<i>train#0`, `<i>train#1` and so on,
            the test images `made#0` and so on; image i has the class i modulo the number of classes.
    """
    random = np.random.default_rng(0)
    names = names or ["</script><b>", "قطة", "a|b & c"]
    classes = len(names)
    labels = np.arange(n) % classes
    found = np.where(random.random(n) < right, labels, random.integers(0, classes, n))
    probabilities = np.full((n, classes), 0.1 / classes)
    probabilities[np.arange(n), found] += 0.9 - random.random(n) * 0.3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    images = random.integers(0, 256, (n, side, side, channels)).astype(np.uint8)
    files, train_files = made_files(images), [f"<i>train#{i}" for i in range(n)]
    table = predictions.table(probabilities, labels, names, files)
    per_class = metrics.per_class(probabilities, labels, names)
    parts = [(i, i / epochs) for i in range(1, epochs + 1)]
    history = [Epoch(i, 1 / i, 0.5 + 0.4 * part, 1.1 / i, 0.5 + 0.3 * part, 0.001) for i, part in parts]
    validation = np.eye(classes, dtype=np.float32)[labels[:classes]]
    fitted = calibrate(probabilities, labels)
    calibrated = apply_temperature(probabilities, fitted.temperature)
    trust = confidence.scores(probabilities, calibrated, labels, *fitted[1:])
    wrong = suspicious_labels(probabilities, labels, images, files, names)
    pairs, shown = pd.DataFrame(copies, columns=NO_COPIES.columns), examples(table, probabilities, images)
    scores = metrics.overall(probabilities, labels, 5, None, 0.7 if robustness else None)
    values: dict[str, Any] = {
        "card": ModelCard("made up", "deep_cnn", tuple(names), (side, side, channels), **fitted._asdict()),
        "changed": {"epochs": epochs, "augment": "flip_shift"},
        "hashes": {"models/model.keras": "0" * 32},
        "training": TrainingSummary(
            validation_loss=history[-1].validation_loss,
            validation_accuracy=history[-1].validation_accuracy,
            best_epoch=best_epoch(history).epoch,
            best_validation_accuracy=best_epoch(history).validation_accuracy,
            parameters=1234,
            onnx_difference=1e-6,
            mflops=0.5,
        ),
        "history": history,
        "scores": scores,
        "confidence": trust,
        "per_class": per_class,
        "counts": metrics.confusion(probabilities, labels),
        "examples": shown,
        "explanations": _explanations(table, images, names),
        "reliability": confidence.reliability(probabilities, calibrated, labels),
        "coverage": confidence.coverage(calibrated, labels),
        "robustness": _robustness() if robustness else not_measured(),
        "split_counts": samples.split_counts(labels, validation, per_class["n"].to_numpy()),
        "skipped": (),
        "samples": samples.one_per_class(images, labels, names),
        "copies": data_findings.copies(
            pairs,
            Split(images, labels),
            train_files,
            table,
            shown=data_findings.test_images(shown, wrong),
            class_names=names,
        ),
        "label_errors": wrong,
    }
    return Content(**values)


def _robustness() -> pd.DataFrame:
    """Make a table of the accuracy on corrupted images."""
    kinds = [("none", 0), *((kind, strength) for kind in ("blur", "noise") for strength in (1, 2, 3))]
    rows = [(kind, strength, 0.9 - 0.1 * strength, 0.5, 0.95, 60) for kind, strength in kinds]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _explanations(table: pd.DataFrame, images: NDArray[np.uint8], names: list[str]) -> Explanations:
    """Make explanations of the first images, a mistake with two maps and others with one."""
    found = table.head(4)
    kinds = np.where(found["actual"] == found["predicted"], "hit", "mistake")
    rows = found.assign(
        kind=kinds, second=names[0], second_confidence=0.1, explained=found["predicted"], probability=0.9
    )
    wrong = rows[rows["kind"] == "mistake"]
    rows = pd.concat([rows, wrong.assign(explained=wrong["actual"], probability=0.1)]).sort_values(
        "index", kind="stable"
    )
    shown = images[rows["index"]]
    maps = np.linspace(0, 255, shown[..., 0].size).reshape(shown.shape[:3]).astype(np.uint8)
    return Explanations(rows.reset_index(drop=True), shown, maps)
