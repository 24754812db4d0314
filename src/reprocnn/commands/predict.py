"""Say what is in pictures."""

import csv
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from reprocnn.artifacts.model import MODEL, ONNX_MODEL
from reprocnn.data.pictures import count_pictures, list_pictures
from reprocnn.data.progress import progress
from reprocnn.errors import UserError
from reprocnn.inference.classifier import Classifier
from reprocnn.inference.pictures import check_shape
from reprocnn.inference.prediction import Prediction, as_object, predict_pictures, rounded
from reprocnn.inference.unreadable import UnreadableError
from reprocnn.ledger import model_files

Format = Literal["text", "json", "csv"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to predict, and how to print it.

    Args:
        pictures: files, folders and archives; `-` is a picture on standard input.
        folder: the folder to which their names are relative.
        top: the number of classes to print for each picture.
        format: how to print the answers.
        min_confidence: an answer with a lower confidence, 0-1, is `unsure`.
        calibrated: whether to apply the temperature that train fitted.
        white: value of white of images with more than 8 bits per channel; None: that of the training.
    """

    pictures: list[str]
    folder: str
    top: int
    format: Format
    min_confidence: float
    calibrated: bool
    white: float | None


def find_model(model: str | None, revision: str | None, run_id: str | None) -> AbstractContextManager[Path]:
    """Return the ONNX file of a model, for a `with` statement. At most one of the arguments is given.

    Args:
        model: an ONNX file, or `models:/NAME@ALIAS` or another URI of a model in MLflow.
        revision: a DVC experiment or a commit.
        run_id: the ID of an MLflow run, or its first characters.

    Raises:
        UserError: the model does not exist.
    """
    if revision:
        return model_files.of_revision(revision)
    if run_id:
        return nullcontext(model_files.of_run(run_id))
    if model and model.startswith("models:/"):
        return nullcontext(model_files.of_uri(model))
    return nullcontext(Path(model) if model else ONNX_MODEL)


def open_model(path: Path, threads: int = 0, white: float | None = None) -> Classifier:
    """Open an ONNX file.

    Args:
        path: the file.
        threads: threads per operation; 0: one per core.
        white: value of white of images with more than 8 bits per channel; None: that of the training.

    Raises:
        UserError: the file does not exist, is not an ONNX file of this project, or its images are not square.
    """
    if path.suffix == MODEL.suffix:
        raise UserError(f"{path} is a Keras model, expected an ONNX file", f"use {path.with_suffix('.onnx')}")
    try:
        classifier = Classifier(path, threads, white)
        check_shape(classifier.info)
        return classifier
    except FileNotFoundError:
        fix = "dvc checkout, or dvc repro" if path == ONNX_MODEL else "check its name"
        raise UserError(f"the model {path} does not exist", fix) from None
    except UnreadableError as error:
        raise UserError(f"{path}: {error.cause}", error.fix) from None
    except ValueError as error:
        raise UserError(f"{path}: {error}", f"use the {ONNX_MODEL} of a checkout of this project") from None


def predict(path: Path, question: Question) -> None:
    """Print what is in each picture on standard output, and the files that can't be read on the error stream.

    Args:
        path: the ONNX file of the model.
        question: the pictures, and how to print the answers.

    Raises:
        UserError: the model can't be opened or has no temperature, or no picture was found.
        SystemExit: with status 1 if a file could not be read; the others have been answered.
    """
    classifier = open_model(path, threads=1, white=question.white)
    if question.calibrated:
        classifier = _calibrated(classifier)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that are not UTF-8
    question = replace(question, top=min(question.top, len(classifier.class_names)))
    write = _WRITERS[question.format](question)
    pictures = list_pictures(question.pictures, question.folder)
    answered = failed = 0
    with progress(count_pictures(question.pictures, question.folder), "predicting", unit="image") as bar:
        for answer in predict_pictures(classifier, pictures, question.top):
            if isinstance(answer, Prediction):
                answered += 1
                write(answer)
            else:
                failed += 1
                _report(answer.file, answer.cause, answer.fix, question.format)
            bar.update()
    sys.stdout.flush()
    if not answered + failed:
        names = ", ".join(question.pictures)
        raise UserError(f"no pictures in {names}", "name pictures, or folders or archives of them")
    if failed:
        sys.exit(1)


def _calibrated(classifier: Classifier) -> Classifier:
    try:
        return classifier.calibrated()
    except ValueError as error:
        raise UserError(f"--calibrated: {error}", "train again: dvc repro; or leave out --calibrated") from None


def _report(file: str, cause: str, fix: str, format: Format) -> None:
    """Print a file that can't be read on the error stream."""
    error = {"file": file, "error": f"{cause}; {fix}"}
    text = _as_json(error) if format == "json" else f"error: {file}: {cause}\n  fix: {fix}"
    print(text, file=sys.stderr)


Write = Callable[[Prediction], None]


def _write_text(question: Question) -> Write:
    """Return a function that prints an answer as text for people."""

    def write(answer: Prediction) -> None:
        unsure = "unsure: " if answer.confidence < question.min_confidence else ""
        classes = ", ".join(f"{name} {probability:.1%}" for name, probability in answer.top)
        print(f"{answer.file}: {unsure}{classes}")

    return write


def _write_json(question: Question) -> Write:
    """Return a function that prints an answer as one line of JSON."""

    def write(answer: Prediction) -> None:
        print(_as_json(as_object(answer, question.min_confidence)))

    return write


def _write_csv(question: Question) -> Write:
    """Print the header of a CSV table; return a function that prints an answer as a row."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    more = [name for k in range(2, question.top + 1) for name in (f"class_{k}", f"probability_{k}")]
    writer.writerow(["file", "class", "confidence", "unsure", *more])

    def write(answer: Prediction) -> None:
        unsure = answer.confidence < question.min_confidence
        others = [value for name, probability in answer.top[1:] for value in (name, rounded(probability))]
        writer.writerow([answer.file, answer.class_name, rounded(answer.confidence), str(unsure).lower(), *others])

    return write


def _as_json(values: dict[str, Any]) -> str:
    """Return one line of JSON, with escapes if the terminal or the locale does not take every character."""
    return json.dumps(values, ensure_ascii=sys.stdout.encoding.lower() != "utf-8")


_WRITERS: dict[Format, Callable[[Question], Write]] = {"text": _write_text, "json": _write_json, "csv": _write_csv}
