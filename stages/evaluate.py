"""Evaluate the model on the test split. No other stage gives test images to a model."""

import _stage  # isort: split

from reprocnn import backend
from reprocnn.artifacts.confidence import (
    CONFIDENCE,
    COVERAGE,
    RELIABILITY,
    write_confidence,
    write_coverage,
    write_reliability,
)
from reprocnn.artifacts.copies import COPIES, read_copies
from reprocnn.artifacts.examples import EXAMPLES, write_examples
from reprocnn.artifacts.explanations import EXPLANATIONS, write_explanations
from reprocnn.artifacts.image_files import read_image_files
from reprocnn.artifacts.label_errors import LABEL_ERRORS, write_label_errors
from reprocnn.artifacts.model import MODEL, load_model
from reprocnn.artifacts.model_card import MODEL_CARD, read_model_card
from reprocnn.artifacts.predictions import PREDICTIONS, write_predictions
from reprocnn.artifacts.robustness import ROBUSTNESS, write_robustness
from reprocnn.artifacts.scores import (
    CONFUSION_MATRIX,
    METRICS,
    PER_CLASS,
    without_copies,
    write_confusion,
    write_per_class,
    write_scores,
)
from reprocnn.artifacts.split import RAW_TEST, read_split
from reprocnn.evaluation.assessment import assess
from reprocnn.evaluation.metrics import absent_classes_note
from reprocnn.params import EvaluateParams, load_params


def main() -> None:
    params = load_params(EvaluateParams)
    backend.prepare(0, params.threads, params.portable)
    model, card = load_model(MODEL), read_model_card(MODEL_CARD)
    images, labels = read_split(RAW_TEST)
    files, copies = read_image_files(RAW_TEST), read_copies(COPIES)
    found = assess(model, images, labels, files, copies, card=card, params=params)
    write_scores(METRICS, found.scores)
    write_confidence(CONFIDENCE, found.confidence)
    write_reliability(RELIABILITY, found.reliability)
    write_coverage(COVERAGE, found.coverage)
    write_per_class(PER_CLASS, found.per_class)
    write_confusion(CONFUSION_MATRIX, found.confusion, card.class_names)
    write_predictions(PREDICTIONS, found.predictions)
    write_examples(EXAMPLES, found.examples)
    write_explanations(EXPLANATIONS, found.explanations)
    write_label_errors(LABEL_ERRORS, found.label_errors)
    write_robustness(ROBUSTNESS, found.robustness)
    print(f"test accuracy {found.scores.accuracy:.2%} of {found.scores.n} images{without_copies(found.scores)}")
    if note := absent_classes_note(labels, card.class_names):
        print(note)


if __name__ == "__main__":
    _stage.run("evaluate", main)
