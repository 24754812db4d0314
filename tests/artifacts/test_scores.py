import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reprocnn.artifacts.scores import (
    Scores,
    read_confusion,
    read_per_class,
    read_scores,
    without_copies,
    write_confusion,
    write_per_class,
    write_scores,
)
from reprocnn.errors import UserError

SCORES = Scores(accuracy=0.5, accuracy_low=0.25, accuracy_high=0.75, n=4, others={"loss": 1 / 3, "macro_f1": 0.0})


def test_metrics_are_one_flat_object_without_those_that_are_none(tmp_path: Path) -> None:
    write_scores(tmp_path / "a.json", SCORES)
    flat = {"accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75, "n": 4, "loss": 1 / 3, "macro_f1": 0.0}
    assert json.loads((tmp_path / "a.json").read_text()) == flat == SCORES.to_dict()
    assert read_scores(tmp_path / "a.json") == SCORES
    augmented = replace(SCORES, tta_accuracy=0.625)
    write_scores(tmp_path / "a.json", augmented)
    assert json.loads((tmp_path / "a.json").read_text())["tta_accuracy"] == 0.625
    assert read_scores(tmp_path / "a.json") == augmented


def test_copies_of_training_images_are_told_in_words(tmp_path: Path) -> None:
    copied = replace(SCORES, n_copies=2, accuracy_without_copies=0.4)
    write_scores(tmp_path / "a.json", copied)
    assert read_scores(tmp_path / "a.json") == copied
    assert without_copies(copied) == ", without 2 copies of training images 40.00%"
    assert without_copies(replace(copied, n_copies=1)) == ", without 1 copy of training images 40.00%"
    assert without_copies(SCORES) == without_copies(replace(SCORES, n_copies=4)) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "no JSON object"),
        ("[1]", "no JSON object"),
        ('{"loss": 1}', "no `accuracy`"),
        ('{"accuracy": 1, "accuracy_low": 1, "accuracy_high": 1, "n": 1, "f1": "high"}', "'high' for `others.f1`"),
    ],
)
def test_a_file_without_these_metrics_is_refused(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "a.json").write_text(text)
    expected = "expected a JSON object with accuracy, accuracy_low, accuracy_high, n and other metrics"
    with pytest.raises(UserError) as error:
        read_scores(tmp_path / "a.json")
    assert str(error.value) == (
        f"error: {tmp_path}/a.json: {expected}, found {found}\n  fix: dvc repro --force evaluate"
    )


def test_metrics_per_class_are_read_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"class": ["NA", "007"], "precision": 0.5, "recall": 1.0, "f1": [0.1, np.nan], "n": [2, 0]})
    for name in ("precision", "recall", "f1"):
        table = table.assign(**{f"{name}_low": 0.25, f"{name}_high": 0.75})
    write_per_class(tmp_path / "a.csv", table)
    pd.testing.assert_frame_equal(read_per_class(tmp_path / "a.csv"), table, check_dtype=False)


@pytest.mark.parametrize("names", [["a", "b"], ["actual", "b"], ["1", "1.0"]])
def test_a_confusion_matrix_is_read_back_for_any_class_names(tmp_path: Path, names: list[str]) -> None:
    counts = np.array([[3, 0], [1, 2]])
    write_confusion(tmp_path / "a.csv", counts, names)
    assert (tmp_path / "a.csv").read_text().split("\n")[0] == ",".join(["actual", *names])
    assert read_confusion(tmp_path / "a.csv").tolist() == counts.tolist()


@pytest.mark.parametrize("text", ["", "actual,a\n", "actual,a\na,x\n", "actual,a,b\na,1,2\n", "actual,a\na,1\nb,3,4\n"])
def test_a_file_that_is_no_confusion_matrix_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match="expected a square matrix of whole numbers, found"):
        read_confusion(tmp_path / "a.csv")
