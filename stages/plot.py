"""Draws the figures and the report from what train and evaluate wrote."""

import _stage  # isort: split

import numpy as np

from reprocnn.artifacts.figures import FIGURES, REPORT, write_figure
from reprocnn.artifacts.files import atomic_folder, read_json, write_bytes
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.predictions import MISTAKES
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, PER_CLASS
from reprocnn.artifacts.tables import read_csv
from reprocnn.params import Section, load_params
from reprocnn.reporting import figures, fonts, report


def main() -> None:
    load_params(Section)  # plot reads no key, and refuses wrong ones all the same
    history, metrics = read_csv(HISTORY), read_json(METRICS)
    scores = read_csv(PER_CLASS, text=("class",))
    confusion = read_csv(CONFUSION_MATRIX, text=("actual",)).iloc[:, 1:].to_numpy()
    wrong = read_csv(MISTAKES / "mistakes.csv", text=("actual", "predicted"))
    labels = figures.labels(list(scores["class"]))
    shown = scores.assign(**{"class": scores["class"].map(labels)})
    wrong = wrong.assign(actual=wrong["actual"].map(labels), predicted=wrong["predicted"].map(labels))
    heading = figures.title(read_json(MODEL_CARD), metrics["accuracy"])
    drawn = {
        "curves": figures.curves(history, heading),
        "confusion_matrix": figures.confusion_matrix(confusion, list(shown["class"]), heading),
        "per_class_f1": figures.per_class_f1(shown, heading),
        "mistakes": figures.mistakes(np.load(MISTAKES / "images.npy"), wrong, heading),
    }
    with atomic_folder(FIGURES) as folder:
        for name, figure in drawn.items():
            write_figure(folder / f"{name}.png", figure)
    pictures = {name.replace("_", " "): FIGURES / f"{name}.png" for name in drawn}
    tables = {"test metrics": metrics, "per class": report.with_labels(scores, labels), "history": history}
    write_bytes(REPORT, report.html(heading, tables, pictures).encode())
    if note := fonts.note(labels):
        print(note)


if __name__ == "__main__":
    _stage.run("plot", main)
