"""How sync ends runs; test_pipeline.py tests it in a checkout with results."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from reprocnn import cli
from reprocnn.artifacts.history import Epoch
from reprocnn.ledger import record, store
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG
from reprocnn.ledger.record import PROCESS_TAG
from reprocnn.run import journal, locks, state
from reprocnn.run.identity import this_process

pytestmark = pytest.mark.usefixtures("empty_store")


@pytest.fixture
def ended_process() -> str:
    """Name a process of this host that has ended, as the journal does."""
    host, _, start = this_process().split()
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return f"{host} {process.pid} {start}"


def _journal(process: str, training: str = "key-1", *, at: float = 100.0, diff: str = "") -> None:
    start = {"key": f"{training[:4]}2", "params": {}, "hashes": {}, "environment": {}, "process": process}
    journal.append(training, "begin", at=at, **start)
    origin = {EXPERIMENT_TAG: "none", BASELINE_TAG: "none"}
    journal.append(training, "origin", name="main@abc", tags=origin, diff=diff, new_files=[])
    for number in (1, 2):
        epoch = Epoch(number, 1 / number, 0.5, 0.5, 0.5, 0.001)
        journal.append(training, "epoch", at=at + number, **vars(epoch), seconds=1.0)


def _runs() -> dict[str, mlflow.entities.Run]:
    client, experiment_id = store.connect()
    return {run.data.tags["training.id"]: run for run in client.search_runs([experiment_id])}


def test_a_training_that_was_killed_before_its_upload_gets_a_run(
    here: Path, ended_process: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _journal(ended_process)
    cli.main(["sync"])
    printed = capsys.readouterr().out
    assert "killed" in printed
    counts = "0 runs created, 0 completed, 0 already complete, 1 skipped; completed of other trainings: 1"
    assert printed.endswith(f"1 result: {counts}\n")
    (run,) = _runs().values()
    assert run.info.status == "KILLED"
    assert run.info.end_time == 102_000  # the end of its last epoch
    history = store.connect()[0].get_metric_history(run.info.run_id, "train_loss")
    assert [m.step for m in history] == [1, 2]
    assert journal.status(journal.read("key-1")) == "KILLED"
    cli.main(["sync"])
    assert "added" not in capsys.readouterr().out


def test_a_running_training_is_left_alone(here: Path) -> None:
    _journal(this_process())
    with locks.exclusive(state.checkpoints() / "key-2.lock", "trains"):
        cli.main(["sync"])
    assert _runs() == {}
    assert journal.status(journal.read("key-1")) == "RUNNING"


def test_a_training_that_ends_during_sync_keeps_its_status(
    here: Path, ended_process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _journal(ended_process)
    (before,) = record.of_trainings()
    journal.append("key-1", "end", at=200.0, status="FINISHED")
    monkeypatch.setattr(record, "of_trainings", lambda: [before])
    cli.main(["sync"])
    assert [run.info.status for run in _runs().values()] == ["FINISHED"]
    assert journal.status(journal.read("key-1")) == "FINISHED"


def test_a_training_that_was_killed_at_its_start_gets_no_run(here: Path, ended_process: str) -> None:
    journal.append("key-1", "begin", key="key-2", params={}, hashes={}, environment={}, process=ended_process)
    cli.main(["sync"])
    assert _runs() == {}
    assert journal.status(journal.read("key-1")) == "KILLED"


def test_a_run_that_somebody_deleted_is_not_made_again(here: Path, ended_process: str) -> None:
    _journal(ended_process)
    journal.append("key-1", "run", run_id="0" * 32)
    cli.main(["sync"])
    assert _runs() == {}


def test_a_killed_training_whose_run_is_in_another_store_gets_one_there(
    here: Path, ended_process: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _journal(ended_process)
    cli.main(["sync"])
    first = store.tracking_uri()
    (made,) = _runs().values()
    journal.append("key-1", "run", run_id=made.info.run_id, store=first)
    os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///team.db"
    cli.main(["sync"])
    assert "; completed of other trainings: 1\n" in capsys.readouterr().out
    (there,) = _runs().values()
    assert (there.info.status, there.info.run_id != made.info.run_id) == ("KILLED", True)
    for uri in ("sqlite:///team.db", first):
        os.environ["MLFLOW_TRACKING_URI"] = uri
        cli.main(["sync"])
        assert "added" not in capsys.readouterr().out
        assert len(_runs()) == 1
    store.connect()[0].delete_run(made.info.run_id)
    cli.main(["sync"])
    assert _runs() == {}, "somebody deleted it there"


def test_a_killed_training_gets_a_run_in_another_mlflow_experiment(
    here: Path, ended_process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _journal(ended_process)
    cli.main(["sync"])
    (made,) = _runs().values()
    journal.append("key-1", "run", run_id=made.info.run_id, store=store.tracking_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "my-own")
    for _ in range(2):
        cli.main(["sync"])
    (there,) = _runs().values()
    assert there.info.run_id != made.info.run_id


def test_a_journal_does_not_change_the_run_of_another_experiment_with_the_same_model(
    here: Path, ended_process: str
) -> None:
    client, experiment_id = store.connect()
    tags = {record.MODEL_TAG: "m", EXPERIMENT_TAG: "exp-a", "training.id": "other"}
    run = client.create_run(experiment_id, tags=tags)
    client.set_terminated(run.info.run_id)
    _journal(ended_process)
    journal.append("key-1", "run", run_id="0" * 32)
    journal.append("key-1", "trained", model_md5="m", dataset="digits", metrics={})
    journal.append("key-1", "end", status="FINISHED")
    cli.main(["sync"])
    assert {name: run.data.tags["training.id"] for name, run in _runs().items()} == {"other": "other"}
    assert PROCESS_TAG not in _runs()["other"].data.tags


def test_runs_of_ended_processes_without_a_journal_are_marked_as_killed(here: Path, ended_process: str) -> None:
    client, experiment_id = store.connect()
    processes = {"dead": ended_process, "alive": this_process(), "elsewhere": "other-host 1 1"}
    for name, process in processes.items():
        client.create_run(experiment_id, tags={PROCESS_TAG: process, "training.id": name})
    cli.main(["sync"])
    assert {name: run.info.status for name, run in _runs().items()} == {
        "dead": "KILLED",
        "alive": "RUNNING",
        "elsewhere": "RUNNING",
    }


def test_a_run_that_cannot_be_changed_does_not_stop_the_others(
    here: Path, ended_process: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client, experiment_id = store.connect()
    for number in (1, 2, 3):
        _journal(ended_process, f"key-{number}", at=100.0 + number, diff="+x" if number == 2 else "")
    for name in ("left", "too"):
        client.create_run(experiment_id, tags={PROCESS_TAG: ended_process, "training.id": name})
    (here / "mlartifacts").write_text("in the way")
    end = mlflow.MlflowClient.set_terminated

    def set_terminated(self: mlflow.MlflowClient, run_id: str, *rest: object) -> None:
        if self.get_run(run_id).data.tags["training.id"] == "left":
            raise PermissionError(13, "Permission denied", "it")
        end(self, run_id, *rest)

    monkeypatch.setattr(mlflow.MlflowClient, "set_terminated", set_terminated)
    with pytest.raises(SystemExit) as ended:
        cli.main(["sync"])
    assert ended.value.code == 1
    assert {name: run.info.status for name, run in _runs().items()} == {
        **dict.fromkeys(("key-1", "key-2", "key-3", "too"), "KILLED"),
        "left": "RUNNING",
    }
    printed = capsys.readouterr().out
    assert printed.count("mlartifacts") == 1
    assert printed.count("it isn't writable (Permission denied)") == 1
    assert "failed: 2; the others succeeded" in printed


def test_a_tracking_server_that_is_down_is_reported_in_two_lines(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for command in ("sync", "runs"):
        with pytest.raises(SystemExit, match=r"error: MLflow at http://127.0.0.1:9: nothing listens.*\n  fix: start "):
            cli.main([command])


def test_a_workspace_without_a_result_is_skipped(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["runs"])
    assert "skipped: dvc.lock in the workspace has no evaluate, plot, train" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no experiment or revision is called 'nothing'"):
        cli.main(["runs", "nothing"])
