"""Backup, restore and upgrade of a team's server, as deploy/README.md says, keep every run."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from checkouts import Checkout
from daemons import Daemon, Postgres, Store, Tracker, users

pytestmark = pytest.mark.service
PASSWORD = "a-word-of-a-member"
TABLES = ("experiments", "runs", "metrics", "params", "tags", "inputs", "logged_models", "model_versions")
DATABASES = ("mlflow", "auth")
MODEL = "digits"


@pytest.fixture(scope="module")
def used(finished: Checkout, tracker: Tracker, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """The server with a user, the runs of a checkout and a registered model."""
    users(tracker, "add", "ana", typed=f"{PASSWORD}\n")
    users(tracker, "allow", "ana", "--experiment", "reprocnn")
    checkout = finished.copy(tmp_path_factory.mktemp("used") / "checkout")
    login = tracker.login("ana", PASSWORD)
    own = {"PYTHONPATH": str(checkout.folder / "src")}
    checkout.run("python", "-m", "reprocnn", "sync", **login, **own)
    checkout.run("python", "-m", "reprocnn", "promote", "two", **login, **own)
    return tracker


def _counts(database: Postgres) -> dict[str, int]:
    """The number of rows in each table."""
    return {table: int(database.rows(f"SELECT count(*) FROM {table}")[0][0]) for table in TABLES}


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Tracker], dict[str, Any]]:
    """Returns what a user gets from a server: runs with their values and files, and the champion."""

    def contents(tracker: Tracker) -> dict[str, Any]:
        for name, value in tracker.login("ana", PASSWORD).items():
            monkeypatch.setenv(name, value)
        client = MlflowClient(tracker.url)
        experiment = client.get_experiment_by_name("reprocnn")
        assert experiment
        runs = {
            run.info.run_id: (run.data.metrics, run.data.params, run.data.tags, client.list_artifacts(run.info.run_id))
            for run in client.search_runs([experiment.experiment_id])
        }
        champion = client.get_model_version_by_alias(MODEL, "champion")
        text = Path(client.download_artifacts(str(champion.run_id), "hashes.json", str(tmp_path))).read_text()
        return {"runs": runs, "champion": (champion.version, champion.run_id), "hashes": text}

    return contents


@pytest.fixture
def other_postgres() -> Iterator[Postgres]:
    """Another PostgreSQL, with empty databases."""
    with tempfile.TemporaryDirectory(prefix="reprocnn-", dir="/tmp") as folder:
        database = Postgres(Path(folder))
        yield database
        database.kill()


def _copied(postgres: Postgres, other: Postgres, folder: Path) -> None:
    """Back up the databases, and restore them on another PostgreSQL."""
    for name in DATABASES:
        file = str(folder / f"{name}.dump")
        postgres.run("pg_dump", "--format=custom", f"--file={file}", name)
        other.run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={name}", file)


@pytest.fixture
def restored(
    used: Tracker,
    postgres: Postgres,
    other_postgres: Postgres,
    store: Store,
    started: Callable[[Daemon], None],
    tmp_path: Path,
) -> Callable[[str], Tracker]:
    """Starts a server of a Python on the copy."""

    def start(python: str) -> Tracker:
        made = Tracker(tmp_path, other_postgres, store, python)
        started(made)
        return made

    _copied(postgres, other_postgres, tmp_path)
    return start


def test_a_backup_on_an_empty_database_serves_the_same_runs(
    used: Tracker,
    postgres: Postgres,
    other_postgres: Postgres,
    restored: Callable[..., Tracker],
    ask: Callable[[Tracker], dict[str, Any]],
) -> None:
    before = _counts(postgres)
    assert min(before.values()) > 0, before
    assert _counts(other_postgres) == before
    expected = ask(used)
    assert len(expected["runs"]) == 2
    assert ask(restored(sys.executable)) == expected


@pytest.mark.network
def test_an_upgrade_keeps_every_run(
    used: Tracker,
    other_postgres: Postgres,
    restored: Callable[..., Tracker],
    ask: Callable[[Tracker], dict[str, Any]],
    tmp_path: Path,
) -> None:
    """The next version is in an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "next")], check=True)
    python = str(tmp_path / "next/bin/python")
    packages = ["mlflow[auth]==3.18.*", "psycopg2-binary", "boto3"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)

    before, expected = _counts(other_postgres), ask(used)
    for command in (
        ["mlflow", "db", "upgrade", "postgresql+psycopg2:///mlflow"],
        ["mlflow.server.auth", "db", "upgrade", "--url", "postgresql+psycopg2:///auth"],
    ):
        environment = Checkout.environment() | other_postgres.variables
        done = subprocess.run([python, "-m", *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert _counts(other_postgres) == before
    assert ask(restored(python)) == expected
