"""Draws the figures and the report from what train and evaluate wrote."""

import _stage  # isort: split

import numpy as np

from reprocnn import paths
from reprocnn.files import atomic_folder, read_csv, read_json, write_bytes, write_figure
from reprocnn.params import Section, load_params
from reprocnn.reporting import figures, fonts, report
from reprocnn.tracking import live


def main() -> None:
    load_params(Section)  # plot reads no key, and refuses wrong ones all the same
    history, metrics = read_csv(paths.HISTORY), read_json(paths.METRICS)
    scores = read_csv(paths.PER_CLASS, text=("class",))
    confusion = read_csv(paths.CONFUSION_MATRIX, text=("actual",)).iloc[:, 1:].to_numpy()
    wrong = read_csv(paths.MISTAKES / "mistakes.csv", text=("actual", "predicted"))
    labels = figures.labels(list(scores["class"]))
    shown = scores.assign(**{"class": scores["class"].map(labels)})
    wrong = wrong.assign(actual=wrong["actual"].map(labels), predicted=wrong["predicted"].map(labels))
    heading = figures.title(read_json(paths.MODEL_CARD), metrics["accuracy"])
    drawn = {
        "curves": figures.curves(history, heading),
        "confusion_matrix": figures.confusion_matrix(confusion, list(shown["class"]), heading),
        "per_class_f1": figures.per_class_f1(shown, heading),
        "mistakes": figures.mistakes(np.load(paths.MISTAKES / "images.npy"), wrong, heading),
    }
    with atomic_folder(paths.FIGURES) as folder:
        for name, figure in drawn.items():
            write_figure(folder / f"{name}.png", figure)
    pictures = {name.replace("_", " "): paths.FIGURES / f"{name}.png" for name in drawn}
    tables = {"test metrics": metrics, "per class": report.with_labels(scores, labels), "history": history}
    write_bytes(paths.REPORT, report.html(heading, tables, pictures).encode())
    live.show("plot")
    if note := fonts.note(labels):
        print(note)


if __name__ == "__main__":
    _stage.run(main)
