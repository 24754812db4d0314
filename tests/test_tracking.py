import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from conftest import ROOT
from reprocnn import paths, tracking
from reprocnn.files import write_bytes, write_json


@pytest.fixture
def trained(here: Path) -> Path:
    """A folder with what tracking reads of a trained model."""
    write_bytes(paths.MODEL, b"a model")
    write_json(paths.MODEL_CARD, {"dataset": "digits"})
    write_bytes(paths.HISTORY, b"epoch,train_loss\n1,0.5\n2,0.25\n")
    write_json(paths.METRICS, {"accuracy": 0.5})
    tables = (paths.PER_CLASS, paths.CONFUSION_MATRIX, paths.PREDICTIONS, paths.TRAINING)
    for path in (*tables, paths.REPORT, paths.FIGURES / "curves.png", paths.TRAIN / "x"):
        write_bytes(path, b"x")
    (here / "dvc.yaml").write_text("stages: {}\n")
    return here


def _made(model: str, name: str) -> str:
    """A finished run of a model in an experiment; its id."""
    client, experiment = tracking.connect()
    tags = {tracking.MODEL_TAG: model, tracking.EXPERIMENT_TAG: name}
    run = client.create_run(experiment, tags=tags)
    client.set_terminated(run.info.run_id)
    time.sleep(0.01)  # start times are in milliseconds
    return run.info.run_id


def test_the_store_is_in_the_checkout_also_from_an_experiments_copy(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / ".dvc").mkdir()
    (here / "deep").mkdir()
    monkeypatch.chdir(here / "deep")
    assert tracking.tracking_uri() == f"sqlite:///{here}/mlflow.db"
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert tracking.tracking_uri() == "sqlite:////elsewhere/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///my.db")
    assert tracking.tracking_uri() == "sqlite:////elsewhere/my.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////abs/my.db")
    assert tracking.tracking_uri() == "sqlite:////abs/my.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking.tracking_uri() == "http://server:5000"


def test_a_run_is_found_by_model_and_experiment_newest_first(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reprocnn.files import md5

    model = md5(paths.MODEL)
    plain, _, named, newest = (
        _made(model, tracking.NO_EXPERIMENT),
        _made("another", "exp-a"),
        _made(model, "exp-a"),
        _made(model, "exp-a"),
    )
    assert tracking.run_of_model().run_id == plain
    monkeypatch.setenv("DVC_EXP_NAME", "exp-a")
    assert tracking.run_of_model().run_id == newest != named
    monkeypatch.setenv("DVC_EXP_NAME", "exp-b")  # shares the model, changed an evaluate parameter
    made = tracking.run_of_model().run_id
    assert made not in {plain, named, newest}
    assert tracking.run_of_model().run_id == made
    run = mlflow.MlflowClient().get_run(made)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "exp-b"
    assert run.data.params["epochs"] == "10"
    assert [m.step for m in mlflow.MlflowClient().get_metric_history(made, "train_loss")] == [1, 2]
    assert run.data.metrics["test_accuracy"] == 0.5
    names = {f.path for f in mlflow.MlflowClient().list_artifacts(made)}
    assert names >= {"figures", "report.html", "model.json", "training.json", "history.csv"}


def test_outside_an_experiment_an_applied_experiments_run_will_do(trained: Path) -> None:
    from reprocnn.files import md5

    run_id = _made(md5(paths.MODEL), "exp-a")
    assert tracking.run_of_model().run_id == run_id


def test_adding_to_a_run_leaves_its_status(trained: Path) -> None:
    from reprocnn.files import md5

    run_id = _made(md5(paths.MODEL), tracking.NO_EXPERIMENT)
    before = mlflow.MlflowClient().get_run(run_id).info
    tracking.run_of_model().log_evaluated()
    after = mlflow.MlflowClient().get_run(run_id)
    assert (after.info.status, after.info.end_time) == (before.status, before.end_time)
    assert after.data.metrics["test_accuracy"] == 0.5


def test_a_tracker_that_is_down_costs_seconds_and_fails_nothing(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    start = time.monotonic()
    with tracking.training_run("digits", 0, []) as run:
        run.log_epoch(1, {"train_loss": 0.5}, 1.0)
    tracking.run_of_model().log_evaluated()
    assert time.monotonic() - start < 20
    assert "warning: MLflow at http://127.0.0.1:9 failed" in capsys.readouterr().err


def test_a_tracker_that_goes_down_is_left_out(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Down:
        calls = 0

        def __getattr__(self, name: str) -> object:
            Down.calls += 1
            raise ConnectionError("gone")

    run = tracking.Run(Down(), "id")
    for epoch in range(3):
        run.log_epoch(epoch, {"train_loss": 0.5}, 1.0)
    run.log_evaluated()
    assert Down.calls == 1
    assert capsys.readouterr().err.count("gone") == 1


@pytest.mark.parametrize(
    ("ending", "status"),
    [("raise RuntimeError", "FAILED"), ("raise KeyboardInterrupt", "KILLED"), ("pass", "FINISHED")],
)
def test_a_run_ends_as_its_training_did(trained: Path, ending: str, status: str) -> None:
    try:
        with tracking.training_run("digits", 0, []) as run:
            exec(ending)
    except BaseException as error:
        assert type(error).__name__ in ending
    assert mlflow.MlflowClient().get_run(run.run_id).info.status == status


def test_sigterm_ends_the_run_as_killed(trained: Path) -> None:
    code = (
        "import time; from reprocnn import tracking\n"
        "with tracking.training_run('digits', 0, []) as run:\n"
        "    print(run.run_id, flush=True); time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        run_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    tracking.connect()
    assert mlflow.MlflowClient().get_run(run_id).info.status == "KILLED"


def test_several_processes_may_start_on_a_store_that_does_not_exist(here: Path) -> None:
    code = "from reprocnn import tracking; c, e = tracking.connect(); print(c.create_run(e).info.run_id)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) for _ in range(4)
    ]
    assert [process.wait(120) for process in processes] == [0] * 4
    for process in processes:
        assert process.stdout
        process.stdout.close()
    client, experiment = tracking.connect()
    assert len(client.search_runs([experiment])) == 4
    location = client.get_experiment(experiment).artifact_location
    assert location == (here / "mlartifacts").as_uri()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("+DB_PASSWORD = 'hunter22'", "hunter22"),
        ('+{"api_key": "abc123"}', "abc123"),
        ("+token: abc123def", "abc123def"),
        ('+PASSWORD = "correct horse battery"', "battery"),
        ("+run --password hunter22", "hunter22"),
        ("+Authorization: Bearer abcdef", "abcdef"),
        ("+https://mytoken99@host/x", "mytoken99"),
        ("+AccountKey=abc==;", "abc=="),
        ("+x = eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "eyJzdWIiOiIxIn0"),
        ("+AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ("+key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("+x = ghp_0123456789abcdefghij0123", "ghp_0123456789abcdefghij0123"),
        ("+https://me:pass1@host/x", "pass1"),
        ("+-----BEGIN RSA PRIVATE KEY-----\n+MIIE\n+-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_secrets_in_the_diff_are_masked(text: str, secret: str) -> None:
    assert secret not in tracking.masked(text)
    assert "***" in tracking.masked(text)


def test_a_change_of_the_same_size_and_second_is_seen(here: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, cwd=here)

    git("init", "-q")
    (here / "dvc.lock").write_text("generated")
    git("add", "-A")
    git("commit", "-qm", "start")
    before = (here / "params.yaml").stat()
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("epochs: 10", "epochs: 11"))
    os.utime(here / "params.yaml", ns=(before.st_atime_ns, before.st_mtime_ns))
    (here / "dvc.lock").write_text("generated again")
    (here / "new.py").write_text("")
    tracking.uncommitted.cache_clear()
    changes = tracking.uncommitted()
    tracking.uncommitted.cache_clear()
    assert "+epochs: 11" in changes
    assert "new file: new.py" in changes
    assert "generated" not in changes


def test_an_experiment_deleted_in_the_ui_comes_back(here: Path) -> None:
    client, experiment = tracking.connect()
    client.delete_experiment(experiment)
    assert tracking.connect()[1] == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"


def test_a_diff_without_secrets_stays() -> None:
    text = "+epochs: 20\n-model: mlp\n+# see https://example.org/a:b@c\n"
    assert tracking.masked(text) == text
