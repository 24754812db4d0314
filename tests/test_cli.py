import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn import cli
from reprocnn.artifacts.figures import REPORT
from reprocnn.artifacts.files import write_bytes
from reprocnn.artifacts.model_card import MODEL_CARD, ModelCard, write_model_card
from reprocnn.artifacts.scores import METRICS, Scores, write_scores
from reprocnn.ledger import access, store


def test_summary_prints_the_result(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"the pipeline has not run here\n  fix: dvc repro"):
        cli.main(["summary"])
    scores = Scores(accuracy=0.95, accuracy_low=0.9, accuracy_high=0.97, n=360, others={})
    write_scores(METRICS, scores)
    write_model_card(MODEL_CARD, ModelCard("digits", "mlp", ("0", "1"), (8, 8, 1)))
    write_bytes(REPORT, b"<html>")
    cli.main(["summary"])
    printed = capsys.readouterr().out
    assert "mlp on digits: test accuracy 95.00% (95 % interval 90.00% to 97.00%, 360 images)" in printed
    assert "make ui" in printed
    assert "averaged" not in printed
    write_scores(METRICS, replace(scores, tta_accuracy=0.96))
    cli.main(["summary"])
    assert "96.00% with test-time augmentation (tta)" in capsys.readouterr().out


def test_ui_prints_the_address_of_the_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SystemExit, match=r"error: MLflow at http://127.0.0.1:9.*\n  fix: "):
        cli.main(["ui"])
    assert "the runs are on the server in MLFLOW_TRACKING_URI: http://127.0.0.1:9" in capsys.readouterr().out


@pytest.mark.slow
def test_ui_serves_the_store_of_the_checkout(here: Path) -> None:
    # Without what switches telemetry off in tests, and what conftest.py sets.
    environment = {k: v for k, v in os.environ.items() if k not in {"CI", "PYTEST_CURRENT_TEST", *store.DEFAULTS}}
    environment |= {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "reprocnn", "ui", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert str(here / "mlflow.db") in line
        address = re.search(r"(http://127.0.0.1:\d+)/#/experiments/1/runs ", line)
        assert address
        assert "MLflow" in _read_page(address[1])
        telemetry = json.loads(_read_page(f"{address[1]}/ajax-api/3.0/mlflow/ui-telemetry"))
        assert telemetry["disable_ui_telemetry"] is True
        experiment = json.loads(_read_page(f"{address[1]}/ajax-api/2.0/mlflow/experiments/get?experiment_id=1"))
        assert experiment["experiment"]["name"] == access.EXPERIMENT
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        process.stdout.close()  # type: ignore[union-attr]
    assert address
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address[1], timeout=5)


def _read_page(address: str) -> str:
    """Return the page at an address, as soon as its server is up."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(address, timeout=5) as page:
                return str(page.read().decode())
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(address)


def test_help_lists_the_commands_and_each_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    commands = (
        *("models", "preset", "predict", "serve", "manifest", "sweep", "summary", "compare", "audit", "export"),
        *("verify", "reproduce", "promote", "registry", "registry copy", "ui", "runs", "sync", "doctor"),
    )
    printed = _help(capsys, "--help")
    assert re.findall(r"^    (\w+(?: \w+)?)", printed, re.MULTILINE) == list(commands)
    for command in commands:
        assert f"  python -m reprocnn {command}" in _help(capsys, *command.split(), "--help")


def _help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_commands_start_without_slow_imports() -> None:
    code = "import sys, reprocnn.cli; print(*{'pandas', 'scipy', 'sklearn', 'tensorflow', 'mlflow'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == []
