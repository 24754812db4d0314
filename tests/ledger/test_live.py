"""What MLflow shows of stages while they run; tests/run/ has the journal and the mirror's thread."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from conftest import ROOT
from reprocnn.artifacts.files import write_bytes
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.model import MODEL
from reprocnn.ledger import live, record, store
from reprocnn.ledger.origin import EXPERIMENT_TAG
from reprocnn.params import PARAMS
from reprocnn.run import identity, journal, mirror, state
from reprocnn.run.journal import Journal
from reprocnn.run.training import training

EPOCHS = [Epoch(1, 0.5, 0.6, 0.7, 0.8, 0.001), Epoch(2, 0.25, 0.7, 0.6, 0.9, 0.001)]


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of the fixture are no model to log; the stages' tests log a real one."""
    monkeypatch.setattr("reprocnn.ledger.mirror.Mirror._has_model", True, raising=False)
    monkeypatch.setattr("reprocnn.ledger.mirror.Mirror._add_model", lambda *_: None)
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


def test_a_training_is_one_run_with_its_epochs_and_its_end(trained: Path) -> None:
    _train()
    (run,) = _runs()
    assert run.info.status == "FINISHED"
    assert "restored" not in run.data.tags
    assert run.data.tags["cpu"] == "6502"
    history = store.connect()[0].get_metric_history(run.info.run_id, "train_loss")
    events = [event for event in journal.read(journal.trainings()[0]) if event.kind == "epoch"]
    assert [(m.step, m.timestamp) for m in history] == [(i + 1, int(e.time * 1000)) for i, e in enumerate(events)]


def test_a_training_that_ends_before_the_store_is_ready_was_seen_all_the_same(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake = mirror.MirrorThread.wake
    # The ledger starts when the training has ended.
    monkeypatch.setattr(mirror.MirrorThread, "wake", lambda shown: wake(shown) if shown._ending.is_set() else None)
    _train()
    (run,) = _runs()
    assert run.info.status == "FINISHED"
    assert "restored" not in run.data.tags


def test_evaluate_and_plot_add_to_the_trainings_run_and_leave_its_end(trained: Path) -> None:
    _train()
    before = _runs()[0].info
    mirror.log_stage("evaluate")
    mirror.log_stage("plot")
    (run,) = _runs()
    assert (run.info.status, run.info.end_time) == (before.status, before.end_time)
    assert run.data.metrics["test_accuracy"] == 0.5
    names = {f.path for f in store.connect()[0].list_artifacts(run.info.run_id)}
    assert names >= {"metrics.json", "report.html", "figures"}


def test_evaluate_does_not_log_figures_of_an_earlier_model(trained: Path) -> None:
    _train()
    mirror.log_stage("evaluate")
    (run,) = _runs()
    assert "figures" not in {f.path for f in store.connect()[0].list_artifacts(run.info.run_id)}


def test_an_experiment_that_shares_the_model_gets_a_run_of_its_own(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_a_run_ends_as_its_training_did(trained: Path, ending: type[BaseException], status: str) -> None:
    with pytest.raises(ending), _training():
        raise ending
    assert [run.info.status for run in _runs()] == [status]


def test_a_training_that_goes_on_continues_its_run_under_the_new_name(
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


def test_a_tracker_that_is_down_costs_seconds_and_the_journal_has_what_it_missed(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    start = time.monotonic()
    _train()
    mirror.log_stage("evaluate")
    mirror.log_stage("plot")
    assert time.monotonic() - start < 12
    printed = capsys.readouterr().out
    assert printed.count("MLflow at http://127.0.0.1:9: nothing listens there") == 3  # once a stage
    assert "python -m reprocnn sync" in printed
    (made,) = record.of_trainings()
    assert made.epochs == EPOCHS
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mirror.log_stage("evaluate")
    (run,) = _runs()
    assert run.data.metrics["epoch_seconds"] == 2.0
    assert run.data.tags["cpu"] == "6502"


def test_a_tracker_that_fails_once_gets_everything_at_the_next_epoch(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connects = iter([ConnectionError("gone")])

    def connect() -> object:
        for error in connects:
            raise error
        return store.connect()

    monkeypatch.setattr(live, "connect", connect)
    _train()
    (run,) = _runs()
    assert run.info.status == "FINISHED"
    assert len(store.connect()[0].get_metric_history(run.info.run_id, "train_loss")) == 2
    assert capsys.readouterr().out.count("warning") == 1


def test_sigterm_ends_the_run_as_killed(trained: Path) -> None:
    code = (
        "import _stage, time; from reprocnn.run.training import training\n"
        "def main():\n"
        "    with training({'threads': 0}, []):\n"
        "        print('trains', flush=True); time.sleep(60)\n"
        "_stage.run('train', main)"
    )
    store.connect()  # to make the store takes seconds
    own = os.environ | {"PYTHONPATH": str(ROOT / "stages")}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "trains\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert [run.info.status for run in _runs()] == ["KILLED"]


def test_a_journal_that_cannot_be_written_costs_neither_the_training_nor_its_run(trained: Path) -> None:
    state.journals().parent.mkdir(parents=True)
    state.journals().write_text("in the way")
    _train()
    assert [run.info.status for run in _runs()] == ["FINISHED"]


def test_a_store_that_is_no_database_costs_a_warning(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (trained / "mlflow.db").write_bytes(b"not a database" * 1000)
    start = time.monotonic()
    _train()
    mirror.log_stage("evaluate")
    assert time.monotonic() - start < 20
    printed = capsys.readouterr().out
    assert printed.count("warning") == 2
    assert printed.count("the file is damaged (file is not a database)\n  fix: mkdir -p mlartifacts/old && mv ") == 2


def test_a_run_is_finished_though_its_files_have_no_place(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client, experiment_id = store.connect()
    name = client.get_experiment(experiment_id).name
    client.rename_experiment(experiment_id, "another")
    client.create_experiment(name, artifact_location="s3://bucket/runs")  # this project doesn't install boto3
    _train()
    (run,) = _runs()
    assert (run.info.status, run.data.metrics["train_loss"]) == ("FINISHED", 0.25)
    assert record.of_trainings()[0].run_id == run.info.run_id
    printed = capsys.readouterr().out
    assert printed.count("warning") == printed.count("the package boto3 is not installed") == 1
    assert "fix: uv pip install 'boto3'\n  then: python -m reprocnn sync" in printed


def test_the_environment_is_changed_in_the_main_thread_alone(trained: Path, environment_changes: list[str]) -> None:
    """Or a process that another thread starts may get half of it: `OSError: Bad address`."""
    _train()
    mirror.log_stage("evaluate")
    assert [run.info.status for run in _runs()] == ["FINISHED"]
    assert environment_changes == []
