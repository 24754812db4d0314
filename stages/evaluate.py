"""Measures the model on the test split. No other stage shows the test split to a model."""

import _stage  # isort: split

from reprocnn import backend, paths
from reprocnn.backend import keras
from reprocnn.evaluation import metrics, predictions
from reprocnn.files import read_json, read_split, write_csv, write_json
from reprocnn.params import EvaluateParams, load_params
from reprocnn.tracking import live


def main() -> None:
    params = load_params(EvaluateParams)
    backend.prepare(0, params.threads, params.portable)
    model = keras.models.load_model(paths.MODEL, compile=False)
    card = read_json(paths.MODEL_CARD)
    names = card["class_names"]
    images, labels = read_split(paths.RAW_TEST)
    probabilities = predictions.predict(model, images, card)
    table = predictions.table(probabilities, labels, names)
    overall = metrics.overall(probabilities, labels, params.top_k)
    if params.tta != "none":
        augmented = predictions.predict_augmented(model, images, card, params.tta)
        overall["tta_accuracy"] = metrics.accuracy(augmented, labels)
    write_json(paths.METRICS, overall)
    write_csv(paths.PER_CLASS, metrics.per_class(probabilities, labels, names))
    write_csv(paths.CONFUSION_MATRIX, metrics.confusion(probabilities, labels, names))
    write_csv(paths.PREDICTIONS, table)
    predictions.write_mistakes(paths.MISTAKES, table, probabilities, images)
    live.show("evaluate")
    print(f"test accuracy {overall['accuracy']:.2%} of {overall['n']} images")
    if absent := metrics.without_images(labels, names):
        print(absent)


if __name__ == "__main__":
    _stage.run(main)
