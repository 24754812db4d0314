"""Draw the figures and the report from the outputs of train and evaluate."""

import _stage  # isort: split

import pandas as pd

from reprocnn.artifacts.figures import FIGURES, REPORT, png, write_figures, write_report
from reprocnn.artifacts.history import HISTORY, read_history
from reprocnn.artifacts.model_card import MODEL_CARD, read_model_card
from reprocnn.artifacts.predictions import MISTAKES, read_mistakes
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, PER_CLASS, read_confusion, read_per_class, read_scores
from reprocnn.params import Section, load_params
from reprocnn.reporting import figures, fonts, report


def main() -> None:
    load_params(Section)  # plot needs no parameter, but a wrong value is an error in every stage
    history, scores, per_class = read_history(HISTORY), read_scores(METRICS), read_per_class(PER_CLASS)
    card, mistakes = read_model_card(MODEL_CARD), read_mistakes(MISTAKES)
    labels = figures.labels(card.class_names)
    heading = figures.title(card.dataset, card.model, scores.accuracy)
    drawn = {
        "curves": figures.curves(history, heading),
        "confusion_matrix": figures.confusion_matrix(read_confusion(CONFUSION_MATRIX), list(labels.values()), heading),
        "per_class_f1": figures.per_class_f1(figures.replace_names(per_class, labels), heading),
        "mistakes": figures.mistakes(mistakes.images, figures.replace_names(mistakes.rows, labels), heading),
    }
    pictures = {name: png(figure) for name, figure in drawn.items()}
    tables = {
        "test metrics": scores.to_dict(),
        "per class": report.with_labels(per_class, labels),
        "history": pd.DataFrame(history),
    }
    write_figures(FIGURES, pictures)
    write_report(REPORT, report.html(heading, tables, pictures))
    if note := fonts.note(labels):
        print(note)


if __name__ == "__main__":
    _stage.run("plot", main)
