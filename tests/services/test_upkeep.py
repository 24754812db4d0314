"""Backup, restore and upgrade of a team's server, as deploy/README.md says, keep every run."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest
from mlflow import MlflowClient

from checkouts import Checkout
from daemons import SECRETS, Daemon, Postgres, Store, Tracker, users

pytestmark = pytest.mark.service
PASSWORD = "a-word-of-a-member"
TABLES = ("experiments", "runs", "metrics", "params", "tags", "inputs", "logged_models", "model_versions")
DATABASES = ("mlflow", "auth")
MODEL = "digits"
NEXT = "3.18"
"""The version of MLflow after that of uv.lock."""


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


def _version(database: Postgres) -> str:
    """The last migration of the database."""
    return database.rows("SELECT version_num FROM alembic_version")[0][0]


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
) -> Callable[..., Tracker]:
    """Starts a server on the copy; takes further environment variables."""

    def start(**more: str) -> Tracker:
        made = Tracker(tmp_path, other_postgres, store, **more)
        started(made)
        return made

    _copied(postgres, other_postgres, tmp_path)
    return start


def test_no_list_of_processes_shows_a_password(used: Tracker) -> None:
    listed = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert [line for line in listed if f"--port={used.port}" in line]
    shown = [line for line in listed for word in line if any(secret in word for secret in SECRETS.values())]
    assert not shown


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
    assert ask(restored()) == expected


@pytest.mark.network
def test_an_upgrade_keeps_every_run(
    used: Tracker,
    other_postgres: Postgres,
    restored: Callable[..., Tracker],
    ask: Callable[[Tracker], dict[str, Any]],
    tmp_path: Path,
) -> None:
    """With the packages of this environment, apart from MLflow itself, which only that one command and server see."""
    own = {"PYTHONPATH": str(tmp_path / "next")}
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", own["PYTHONPATH"]]
    subprocess.run([*install, f"mlflow=={NEXT}.*"], check=True)
    assert not mlflow.__version__.startswith(NEXT)

    before, expected, version = _counts(other_postgres), ask(used), _version(other_postgres)
    for command in (
        ["mlflow", "db", "upgrade", "postgresql+psycopg2:///mlflow"],
        ["mlflow.server.auth", "db", "upgrade", "--url", "postgresql+psycopg2:///auth"],
    ):
        environment = Checkout.environment() | other_postgres.variables | own
        done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert _version(other_postgres) != version
    assert _counts(other_postgres) == before
    assert ask(restored(**own)) == expected
