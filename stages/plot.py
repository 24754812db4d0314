"""Draw the figures and the report from the data and the outputs of train and evaluate."""

import _stage  # isort: split

from reprocnn.artifacts.confidence import (
    CONFIDENCE,
    COVERAGE,
    RELIABILITY,
    read_confidence,
    read_coverage,
    read_reliability,
)
from reprocnn.artifacts.copies import COPIES, read_copies
from reprocnn.artifacts.dataset import DATASET, read_dataset
from reprocnn.artifacts.examples import EXAMPLES, read_examples
from reprocnn.artifacts.explanations import EXPLANATIONS, read_explanations
from reprocnn.artifacts.figures import DESCRIPTION, FIGURES, REPORT, png, write_figures, write_text
from reprocnn.artifacts.files import content_md5, md5
from reprocnn.artifacts.history import HISTORY, read_history
from reprocnn.artifacts.image_files import read_image_files
from reprocnn.artifacts.label_errors import LABEL_ERRORS, read_label_errors
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD, read_model_card
from reprocnn.artifacts.predictions import PREDICTIONS, read_predictions
from reprocnn.artifacts.robustness import ROBUSTNESS, read_robustness
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, PER_CLASS, read_confusion, read_per_class, read_scores
from reprocnn.artifacts.split import RAW_TRAIN, VALIDATION, read_split
from reprocnn.artifacts.training import TRAINING, read_training
from reprocnn.params import Params, changed_params, load_params
from reprocnn.reporting import charts, data_findings, figures, fonts, model_card, report, samples


def main() -> None:
    load_params(Params)
    charts.bundle()  # runs while the figures are drawn
    content = read_content()
    card, examples = content.card, content.examples
    labels = figures.labels(card.class_names)
    heading = figures.title(card.dataset, card.model, content.scores.accuracy)
    drawn = {
        "curves": figures.curves(content.history, heading),
        "confusion_matrix": figures.confusion_matrix(content.counts, list(labels.values()), heading),
        "per_class_f1": figures.per_class_f1(figures.replace_names(content.per_class, labels), heading),
        "mistakes": figures.mistakes(examples.images, figures.replace_names(examples.rows, labels), heading),
    }
    write_figures(FIGURES, {name: png(figure) for name, figure in drawn.items()})
    write_text(REPORT, report.html(content))
    write_text(DESCRIPTION, model_card.markdown(content))
    if note := fonts.note(labels):
        print(note)


def read_content() -> report.Content:
    """Read what the report shows."""
    raw, validation = read_split(RAW_TRAIN), read_split(VALIDATION)
    card, per_class, examples = read_model_card(MODEL_CARD), read_per_class(PER_CLASS), read_examples(EXAMPLES)
    pairs, files, predictions = read_copies(COPIES), read_image_files(RAW_TRAIN).file, read_predictions(PREDICTIONS)
    names, wrong = card.class_names, read_label_errors(LABEL_ERRORS)
    shown = data_findings.test_images(examples, wrong)
    return report.Content(
        card=card,
        changed=changed_params(),
        hashes={RAW_TRAIN.as_posix(): content_md5(RAW_TRAIN), MODEL.as_posix(): md5(MODEL)},
        training=read_training(TRAINING),
        history=read_history(HISTORY),
        scores=read_scores(METRICS),
        per_class=per_class,
        counts=read_confusion(CONFUSION_MATRIX),
        examples=examples,
        explanations=read_explanations(EXPLANATIONS),
        confidence=read_confidence(CONFIDENCE),
        reliability=read_reliability(RELIABILITY),
        coverage=read_coverage(COVERAGE),
        robustness=read_robustness(ROBUSTNESS),
        split_counts=samples.split_counts(raw.labels, validation.labels, per_class["n"].to_numpy()),
        skipped=read_dataset(DATASET).skipped,
        samples=samples.one_per_class(raw.images, raw.labels, names),
        copies=data_findings.copies(pairs, raw, files, predictions, shown=shown, class_names=names),
        label_errors=wrong,
    )


if __name__ == "__main__":
    _stage.run("plot", main)
