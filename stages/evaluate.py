"""Evaluate the model on the test split. No other stage gives test images to a model."""

import _stage  # isort: split

from reprocnn import backend
from reprocnn.artifacts.examples import EXAMPLES, write_examples
from reprocnn.artifacts.model import MODEL, load_model
from reprocnn.artifacts.model_card import MODEL_CARD, read_model_card
from reprocnn.artifacts.predictions import PREDICTIONS, write_predictions
from reprocnn.artifacts.scores import (
    CONFUSION_MATRIX,
    METRICS,
    PER_CLASS,
    write_confusion,
    write_per_class,
    write_scores,
)
from reprocnn.artifacts.split import RAW_TEST, read_split
from reprocnn.evaluation import metrics, predictions
from reprocnn.evaluation.examples import examples
from reprocnn.params import EvaluateParams, load_params


def main() -> None:
    params = load_params(EvaluateParams)
    backend.prepare(0, params.threads, params.portable)
    model, names = load_model(MODEL), read_model_card(MODEL_CARD).class_names
    images, labels = read_split(RAW_TEST)
    probabilities = predictions.predict(model, images)
    augmented = predictions.predict_augmented(model, images, params.tta) if params.tta else None
    scores = metrics.overall(probabilities, labels, params.top_k, augmented)
    table = predictions.table(probabilities, labels, names, images)
    write_scores(METRICS, scores)
    write_per_class(PER_CLASS, metrics.per_class(probabilities, labels, names))
    write_confusion(CONFUSION_MATRIX, metrics.confusion(probabilities, labels), names)
    write_predictions(PREDICTIONS, table)
    write_examples(EXAMPLES, examples(table, probabilities, images))
    print(f"test accuracy {scores.accuracy:.2%} of {scores.n} images")
    if note := metrics.absent_classes_note(labels, names):
        print(note)


if __name__ == "__main__":
    _stage.run("evaluate", main)
