import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from reprocnn.tracking import store


def test_the_store_is_in_the_checkout_also_from_an_experiments_copy(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_several_processes_may_start_on_a_store_that_does_not_exist(here: Path) -> None:
    code = "from reprocnn.tracking import store; c, e = store.connect(); print(c.create_run(e).info.run_id)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) for _ in range(4)
    ]
    assert [process.wait(120) for process in processes] == [0] * 4
    for process in processes:
        assert process.stdout
        process.stdout.close()
    client, experiment = store.connect()
    assert len(client.search_runs([experiment])) == 4
    location = client.get_experiment(experiment).artifact_location
    assert location == (here / "mlartifacts").as_uri()


def test_an_experiment_deleted_in_the_ui_comes_back(here: Path) -> None:
    client, experiment = store.connect()
    client.delete_experiment(experiment)
    assert store.connect()[1] == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"


def test_a_store_whose_making_was_cut_off_is_made_again(here: Path) -> None:
    code = (
        "import os, threading; from reprocnn.tracking import store\n"
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
