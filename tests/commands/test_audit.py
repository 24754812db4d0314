import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkouts import ROOT
from made_audit import make_audited
from reprocnn import cli
from reprocnn.artifacts.files import content_md5
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.artifacts.split import RAW_TRAIN
from reprocnn.commands.audit.audit import audit
from reprocnn.commands.audit.page import PAGE
from reprocnn.errors import UserError
from reprocnn.run import state
from tiny_model import COLOURS, write_tiny_model


@pytest.fixture
def workspace(here: Path) -> Path:
    make_audited(here)
    return here


def _findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    cli.main(["audit", "--json", *arguments])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def _numbers(finding: dict[str, Any]) -> list[int]:
    return [int(file.split(">")[1].split(",")[0]) for file in finding["files"]]


def test_each_planted_fault_is_found_once_and_the_worst_kind_is_first(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _findings(capsys, "--no-training")
    assert [(finding["kind"], _numbers(finding)) for finding in found] == [
        ("conflict", [5, 25]),
        ("label", [20]),
        ("duplicate", [4, 24]),
        ("dark", [3]),
    ]
    conflict, label, *_ = found
    assert (conflict["splits"], conflict["labels"], conflict["score"]) == (["train", "test"], ["blue", "green"], 0.97)
    assert (label["splits"], label["labels"], label["suggested"]) == (["validation"], ["red"], "blue")
    assert label["reason"].startswith("labelled red; the model says blue (9")
    assert all(0 <= finding["score"] <= 1 for finding in found)
    assert not PAGE.exists()


def test_labels_of_training_images_are_checked_by_what_an_earlier_audit_kept(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probabilities = np.full((18, 3), 0.02)
    probabilities[np.arange(18), np.arange(18) % 3] = 0.96
    probabilities[7] = 0.01, 0.01, 0.98  # the label says green
    kept = state.held_out_predictions(content_md5(RAW_TRAIN))
    kept.parent.mkdir(parents=True)
    np.save(kept, probabilities)
    labels = [finding for finding in _findings(capsys) if finding["kind"] == "label"]
    assert [_numbers(finding) for finding in labels] == [[7], [20]]
    assert labels[0]["reason"] == "labelled green; a net that was trained without it says blue (98%)"


@pytest.mark.parametrize(
    ("prepare", "note"),
    [
        (lambda: ONNX_MODEL.unlink(), "models/model.onnx is missing or damaged"),
        (lambda: write_tiny_model(ONNX_MODEL, dict(reversed(COLOURS.items()))), "models/model.onnx is of other data"),
        (lambda: ONNX_MODEL.write_bytes(b"x"), "models/model.onnx is missing or damaged"),
    ],
)
def test_without_a_model_of_these_data_their_labels_are_not_checked(
    workspace: Path, capsys: pytest.CaptureFixture[str], prepare: Any, note: str
) -> None:
    prepare()
    audit(as_json=True, train=False, limit=5)
    captured = capsys.readouterr()
    assert f"note: {note}" in captured.err
    assert '"label"' not in captured.out.replace('"labels"', "")


def test_the_text_counts_the_findings_of_each_kind_and_names_the_page(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit(as_json=False, train=False, limit=5)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "colours: 4 findings in 30 images\n\nconflict (1): copies with different labels\n  0.97  train/"
    )
    page = PAGE.read_text()
    assert "&lt;b&gt;20,.png" in page
    assert "<b>20" not in page
    assert page.count('type="checkbox"') == 2 + 2 + 2 + 1
    audit(as_json=False, train=False, limit=5)
    assert PAGE.read_text() == page


def test_without_data_the_error_says_what_to_run(here: Path) -> None:
    with pytest.raises(UserError, match="data/raw lacks the data that download writes\n  fix: dvc repro download"):
        audit(as_json=True, train=False, limit=5)


def test_an_audit_without_training_does_not_import_tensorflow(workspace: Path) -> None:
    code = (
        "import sys; from reprocnn.commands.audit.audit import audit; audit(True, False, 5); audit(False, False, 5)\n"
        "assert not {'tensorflow', 'mlflow', 'dvc'} & set(sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.DEVNULL)
