"""Measures the model on the test split. No other stage shows the test split to a model."""

import _stage  # isort: split

from reprocnn import backend
from reprocnn.artifacts.files import read_json, write_json
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.predictions import MISTAKES, PREDICTIONS
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, PER_CLASS
from reprocnn.artifacts.split import RAW_TEST, read_split
from reprocnn.artifacts.tables import write_csv
from reprocnn.backend import keras
from reprocnn.evaluation import metrics, predictions
from reprocnn.ledger import live
from reprocnn.params import EvaluateParams, load_params


def main() -> None:
    params = load_params(EvaluateParams)
    backend.prepare(0, params.threads, params.portable)
    model = keras.models.load_model(MODEL, compile=False)
    card = read_json(MODEL_CARD)
    names = card["class_names"]
    images, labels = read_split(RAW_TEST)
    probabilities = predictions.predict(model, images, card)
    table = predictions.table(probabilities, labels, names)
    overall = metrics.overall(probabilities, labels, params.top_k)
    if params.tta:
        augmented = predictions.predict_augmented(model, images, card, params.tta)
        overall["tta_accuracy"] = metrics.accuracy(augmented, labels)
    write_json(METRICS, overall)
    write_csv(PER_CLASS, metrics.per_class(probabilities, labels, names))
    write_csv(CONFUSION_MATRIX, metrics.confusion(probabilities, labels, names))
    write_csv(PREDICTIONS, table)
    predictions.write_mistakes(MISTAKES, table, probabilities, images)
    live.show("evaluate")
    print(f"test accuracy {overall['accuracy']:.2%} of {overall['n']} images")
    if absent := metrics.without_images(labels, names):
        print(absent)


if __name__ == "__main__":
    _stage.run(main)
