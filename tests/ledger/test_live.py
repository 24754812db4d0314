"""Test what running stages log to MLflow; tests/run/ tests the journal and the mirror's thread."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from checkouts import ROOT
from reprocnn.artifacts.files import content_md5, write_bytes
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.split import RAW_TEST, TRAIN
from reprocnn.ledger import live, record, store
from reprocnn.ledger.origin import EXPERIMENT_TAG
from reprocnn.params import PARAMS
from reprocnn.run import identity, journal, mirror, state
from reprocnn.run.journal import Journal
from reprocnn.run.training import training

EPOCHS = [Epoch(1, 0.5, 0.6, 0.7, 0.8, 0.001), Epoch(2, 0.25, 0.7, 0.6, 0.9, 0.001)]


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not log the model, because the fixture has no real one; the tests of the stages log one."""
    monkeypatch.setattr("reprocnn.ledger.logged_models.LoggedModels.add_keras", lambda *_: None)
    monkeypatch.setattr(identity, "environment", lambda *_: {"cpu": "6502"})


def _runs() -> list[mlflow.entities.Run]:
    client, experiment_id = store.connect()
    return list(client.search_runs([experiment_id]))


@contextmanager
def _training(kind: str = "k") -> Iterator[Journal]:
    with training({"kind": kind, "threads": 0}, []) as (_, events):
        yield events


def _train(kind: str = "k") -> None:
    with _training(kind) as events:
        for epoch in EPOCHS:
            events.epoch(epoch, 2.0)
        write_bytes(MODEL, b"a model")


def test_a_training_is_one_run_with_its_epochs_and_status(trained: Path) -> None:
    _train()
    (run,) = _runs()
    assert run.info.status == "FINISHED"
    assert "restored" not in run.data.tags
    assert run.data.tags["cpu"] == "6502"
    history = store.connect()[0].get_metric_history(run.info.run_id, "train_loss")
    events = [event for event in journal.read(journal.trainings()[0]) if event.kind == "epoch"]
    assert [(m.step, m.timestamp) for m in history] == [(i + 1, int(e.time * 1000)) for i, e in enumerate(events)]


def test_a_training_that_ends_before_the_store_is_ready_counts_as_live(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake = mirror.MirrorThread.wake
    # Let the ledger start only when the training has ended.
    monkeypatch.setattr(mirror.MirrorThread, "wake", lambda thread: wake(thread) if thread._ending.is_set() else None)
    _train()
    (run,) = _runs()
    assert run.info.status == "FINISHED"
    assert "restored" not in run.data.tags


def test_evaluate_and_plot_add_to_the_run_and_keep_its_end_time(trained: Path) -> None:
    _train()
    before = _runs()[0].info
    mirror.log_stage("evaluate")
    mirror.log_stage("plot")
    (run,) = _runs()
    assert (run.info.status, run.info.end_time) == (before.status, before.end_time)
    assert run.data.metrics["test_accuracy"] == 0.5
    names = {f.path for f in store.connect()[0].list_artifacts(run.info.run_id)}
    assert names >= {"metrics.json", "report.html", "figures"}


def test_the_test_images_are_an_input_after_evaluate(trained: Path) -> None:
    _train()
    write_bytes(RAW_TEST / "labels.npy", b"x")
    mirror.log_stage("evaluate")
    (run,) = _runs()
    found = {given.tags[0].value: given.dataset.digest for given in run.inputs.dataset_inputs}
    assert found == {"training": content_md5(TRAIN), "testing": content_md5(RAW_TEST)}
    assert "test_accuracy" in {m.key for m in store.connect()[0].get_logged_model(_model_id(run)).metrics}
    mirror.log_stage("plot")
    assert len(_runs()[0].inputs.dataset_inputs) == 2


def _model_id(run: mlflow.entities.Run) -> str:
    (output,) = run.outputs.model_outputs
    return str(output.model_id)


def test_evaluate_does_not_log_figures_of_an_earlier_model(trained: Path) -> None:
    _train()
    mirror.log_stage("evaluate")
    (run,) = _runs()
    assert "figures" not in {f.path for f in store.connect()[0].list_artifacts(run.info.run_id)}


def test_an_experiment_with_the_same_model_gets_its_own_run(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _train()
    monkeypatch.setenv("DVC_EXP_NAME", "exp-b")
    text = PARAMS.read_text()
    PARAMS.write_text(text.replace("top_k: 5", "top_k: 3"))
    mirror.log_stage("evaluate")
    mirror.log_stage("evaluate")
    named = {run.info.run_name: run for run in _runs()}
    assert len(named) == 2
    assert named["exp-b"].data.params["top_k"] == "3"
    assert named["exp-b"].data.metrics["test_accuracy"] == 0.5
    assert named["exp-b"].data.tags["restored"]


@pytest.mark.parametrize(
    ("ending", "status"),
    [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")],
)
def test_a_run_gets_the_status_of_its_training(trained: Path, ending: type[BaseException], status: str) -> None:
    with pytest.raises(ending), _training():
        raise ending
    assert [run.info.status for run in _runs()] == [status]


def test_a_resumed_training_continues_its_run_under_the_new_name(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt), _training() as run:
        run.epoch(EPOCHS[0], 2.0)
        raise KeyboardInterrupt
    monkeypatch.setenv("DVC_EXP_NAME", "exp-b")
    _train()
    (only,) = _runs()
    assert only.info.status == "FINISHED"
    assert only.info.run_name == only.data.tags[EXPERIMENT_TAG] == "exp-b"
    history = store.connect()[0].get_metric_history(only.info.run_id, "epoch_seconds")
    assert [m.step for m in history] == [1, 2]


def test_a_tracker_that_is_down_costs_seconds_and_the_journal_keeps_the_rest(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    start = time.monotonic()
    _train()
    mirror.log_stage("evaluate")
    mirror.log_stage("plot")
    assert time.monotonic() - start < 12
    printed = capsys.readouterr().out
    assert printed.count("MLflow at http://127.0.0.1:9: nothing listens there") == 3  # once per stage
    assert "python -m reprocnn sync" in printed
    (made,) = record.of_trainings()
    assert made.epochs == EPOCHS
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mirror.log_stage("evaluate")
    (run,) = _runs()
    assert run.data.metrics["epoch_seconds"] == 2.0
    assert run.data.tags["cpu"] == "6502"


def test_after_one_failure_the_next_epoch_uploads_everything(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connects, failed = iter([ConnectionError("gone")]), threading.Event()

    def connect() -> object:
        for error in connects:
            failed.set()
            raise error
        return store.connect()

    monkeypatch.setattr(live, "connect", connect)
    with _training() as events:
        events.epoch(EPOCHS[0], 2.0)
        assert failed.wait(60)
        events.epoch(EPOCHS[1], 2.0)
        write_bytes(MODEL, b"a model")
    (run,) = _runs()
    assert run.info.status == "FINISHED"
    assert len(store.connect()[0].get_metric_history(run.info.run_id, "train_loss")) == 2
    assert capsys.readouterr().out.count("warning") == 1


def test_sigterm_marks_the_run_as_killed(trained: Path) -> None:
    code = (
        "import _stage, time; from reprocnn.run.training import training\n"
        "def main():\n"
        "    with training({'threads': 0}, []):\n"
        "        print('trains', flush=True); time.sleep(60)\n"
        "_stage.run('train', main)"
    )
    own = os.environ | {"PYTHONPATH": str(ROOT / "stages")}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "trains\n"
        while not _runs():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert [run.info.status for run in _runs()] == ["KILLED"]


def test_without_a_writable_journal_the_training_still_gets_a_finished_run(trained: Path) -> None:
    state.journals().parent.mkdir(parents=True)
    state.journals().write_text("in the way")
    _train()
    assert [run.info.status for run in _runs()] == ["FINISHED"]


def test_a_damaged_store_only_causes_a_warning(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trained / "mlflow.db").write_bytes(b"not a database" * 1000)
    start = time.monotonic()
    _train()
    mirror.log_stage("evaluate")
    assert time.monotonic() - start < 20
    printed = capsys.readouterr().out
    assert printed.count("warning") == 2
    assert printed.count("the file is damaged (file is not a database)\n  fix: mkdir -p mlartifacts/old && mv ") == 2


def test_a_run_is_finished_even_if_its_files_cannot_be_stored(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)  # as if it were not installed
    client, experiment_id = store.connect()
    name = client.get_experiment(experiment_id).name
    client.rename_experiment(experiment_id, "another")
    client.create_experiment(name, artifact_location="s3://bucket/runs")
    _train()
    (run,) = _runs()
    assert (run.info.status, run.data.metrics["train_loss"]) == ("FINISHED", 0.25)
    assert record.of_trainings()[0].run_id == run.info.run_id
    printed = capsys.readouterr().out
    assert printed.count("warning") == printed.count("needs the package boto3, which is not installed") == 1
    assert "fix: uv pip install 'boto3'\n  then: python -m reprocnn sync" in printed


def test_only_the_main_thread_changes_the_environment(trained: Path, environment_changes: list[str]) -> None:
    """Otherwise a process that another thread starts may get an invalid environment (`OSError: Bad address`)."""
    _train()
    mirror.log_stage("evaluate")
    assert [run.info.status for run in _runs()] == ["FINISHED"]
    assert environment_changes == []
