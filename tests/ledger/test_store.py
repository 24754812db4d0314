import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from checkouts import ROOT
from reprocnn.commands.doctor import runs
from reprocnn.errors import UserError
from reprocnn.ledger import store


def test_the_store_is_in_the_checkout_even_in_a_queued_experiment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "deep").mkdir()
    monkeypatch.chdir(here / "deep")
    assert store.tracking_uri() == f"sqlite:///{here}/mlflow.db"
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert store.tracking_uri() == "sqlite:////elsewhere/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///my.db")
    assert store.tracking_uri() == "sqlite:////elsewhere/my.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////abs/my.db")
    assert store.tracking_uri() == "sqlite:////abs/my.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert store.tracking_uri() == "http://server:5000"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", "sqlite:////a/mlflow.db"),
        ("  ", "sqlite:////a/mlflow.db"),
        ("sqlite:///my.db?timeout=5", "sqlite:////a/my.db?timeout=5"),
        ("sqlite:////b/50%25/my.db", "sqlite+pysqlite:////b/50%25/my.db"),
        ("sqlite:////b/x%20y.db", "sqlite:////b/x y.db"),
        ("sqlite:///file:my.db?mode=ro&uri=true", "sqlite:///file:my.db?mode=ro&uri=true"),
        ("./mlruns", "file:///a/mlruns"),
        ("file:./mlruns", "file:///a/mlruns"),
        ("file:///b/my%20runs", "file:///b/my%20runs"),
        ("/b/50%", "file:///b/50%25"),
        ("http://server:5000/", "http://server:5000/"),
        ("http://server:5000\n", "http://server:5000"),
        ("server:5000", "server:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("databricks", "databricks"),
        ("postgresql://user:word@host/name", "postgresql://user:word@host/name"),
    ],
)
def test_the_uri_is_absolute_and_stable(monkeypatch: pytest.MonkeyPatch, given: str, found: str) -> None:
    monkeypatch.setenv("DVC_ROOT", "/a")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert store.tracking_uri() == found
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found)
    assert store.tracking_uri() == found, "the environment gets this value, for MLflow"


NAMES = [
    "a%2Fb",
    "50%",
    "a%20b",
    "a#b",
    "a?b",
    "a b",
    "a+b",
    "a&b",
    "ü 日本",
    'it\'s "x"',
    "a;b=c",
    "a@b:c",
    "[x]",
    "a\\b",
]


@pytest.mark.parametrize("name", [*NAMES, "".join(NAMES)])
def test_a_path_can_have_any_character(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    name = name.replace("/", "")
    folder = tmp_path / "in" / name
    (folder / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(folder)
    client, experiment = store.connect()
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "hello", "figures/x.txt")
    assert [file.path for file in client.list_artifacts(run, "figures")] == ["figures/x.txt"]
    assert Path(client.download_artifacts(run, "figures/x.txt")).read_text() == "hello"
    client.set_terminated(run)
    assert {finding.state for finding in runs.check_store()} == {"ok"}
    assert list((tmp_path / "in").iterdir()) == [folder], "no other folder was created"
    assert {path.name.partition(".db")[0] for path in folder.iterdir()} == {".dvc", "mlflow", "mlartifacts"}


@pytest.mark.slow
def test_the_ui_serves_a_store_in_such_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "it's 50%2F?#&+ü"
    (folder / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(folder)
    client, experiment = store.connect()
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "hello", "x.txt")
    own = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "reprocnn", "ui", "--port", "0"]
    with subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) as ui:
        try:
            assert ui.stdout
            address = ui.stdout.readline().split()[2].partition("/#")[0]
            retries = Retry(connect=12, backoff_factor=0.5, backoff_max=5)
            session = requests.Session()
            session.mount("http://", HTTPAdapter(max_retries=retries))
            answer = session.get(f"{address}/get-artifact", params={"run_uuid": run, "path": "x.txt"}, timeout=60)
        finally:
            ui.terminate()
            ui.wait(30)
    assert answer.text == "hello"


@pytest.mark.usefixtures("empty_store")
@pytest.mark.parametrize("setting", ["MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"])
def test_mlflow_variables_of_the_shell_are_ignored(here: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(setting, "" if setting.endswith("NAME") else "12345")
    client, experiment = store.connect()
    assert client.get_experiment(experiment).name == "reprocnn"


def test_a_database_that_cannot_be_opened_fails_at_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "file").touch()
    for uri in (
        f"sqlite:///{here}/file/mlflow.db",
        "sqlite:////proc/none/mlflow.db",
        "sqlite:///file:none?mode=ro&uri=true",
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        start = time.monotonic()
        with pytest.raises(UserError, match="MLflow at sqlite:") as found:
            store.connect_or_explain()
        assert time.monotonic() - start < 10, "MLflow would retry for 100 s"
        assert "folder" in found.value.fix


def test_several_processes_can_start_without_a_store(here: Path) -> None:
    code = "from reprocnn.ledger import store; c, e = store.connect(); print(c.create_run(e).info.run_id)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) for _ in range(3)
    ]
    assert [process.wait(120) for process in processes] == [0] * 3
    for process in processes:
        assert process.stdout
        process.stdout.close()
    client, experiment = store.connect()
    assert len(client.search_runs([experiment])) == 3
    location = client.get_experiment(experiment).artifact_location
    assert location == (here / "mlartifacts").as_uri()


@pytest.mark.usefixtures("empty_store")
def test_an_experiment_deleted_in_the_ui_is_restored(here: Path) -> None:
    client, experiment = store.connect()
    client.delete_experiment(experiment)
    assert store.connect()[1] == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"


def test_a_store_killed_during_its_creation_is_created_again(here: Path) -> None:
    code = (
        "import os, threading; from reprocnn.ledger import store\n"
        "def kill():\n"
        "    while not os.path.exists('mlflow.db.partial') or os.path.getsize('mlflow.db.partial') < 50_000: pass\n"
        "    os.kill(os.getpid(), 9)\n"
        "threading.Thread(target=kill, daemon=True).start(); store.connect()"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, check=False)
    assert done.returncode == -9
    assert not (here / "mlflow.db").exists()
    client, experiment = store.connect()
    assert client.search_runs([experiment]) == []
    assert not [p.name for p in here.iterdir() if "partial" in p.name]
