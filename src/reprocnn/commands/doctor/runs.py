"""Check the MLflow store: where it is, whether it answers, and whether its runs have their files and a final status."""

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlparse

from reprocnn.artifacts.model import MODEL
from reprocnn.commands.doctor.findings import Finding
from reprocnn.ledger import access, store
from reprocnn.ledger.record import PROCESS_TAG
from reprocnn.masking import masked
from reprocnn.run.identity import is_gone
from reprocnn.run.state import repository

if TYPE_CHECKING:
    from mlflow.entities import Run

QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}
"""MLflow settings that avoid waiting for a server that is down."""


class _Content(NamedTuple):
    """The content of a store: where artifacts go, at most one finished run, and the running runs."""

    location: str
    finished: "list[Run]"
    running: "list[Run]"


def check_store() -> Iterator[Finding]:
    """Check the MLflow store that the stages write to and `make ui` shows."""
    uri = store.tracking_uri()
    where = masked(uri)
    try:
        content = _read(uri)
    except Exception as error:  # of MLflow, SQLAlchemy, SQLite or a connection
        found = store.user_error(error)
        yield Finding("wrong", "MLflow", found.problem.removeprefix("MLflow at "), found.fix)
    else:
        yield from _check_content(uri, content) if content else [_report_empty(where)]
    if uri != store.own_uri() and _checkout_store_has_runs():
        text = f"older runs are in {store.FILE}, but the stages and `make ui` use MLFLOW_TRACKING_URI: {where}"
        fix = f"unset MLFLOW_TRACKING_URI  # to use {store.FILE}\n{store.SYNC_COMMAND}  # to add them there"
        yield Finding("note", "MLflow", text, fix)


def _checkout_store_has_runs() -> bool:
    """Return whether the store in the checkout, which is not the one in use, has finished runs."""
    with suppress(Exception):  # it may be damaged or of another MLflow version, but it is not in use
        content = _read(store.own_uri())
        return bool(content and content.finished)
    return False


def _report_empty(where: str) -> Finding:
    """Report a store without runs of this project."""
    if MODEL.exists():
        return Finding("note", "MLflow", f"the result in the workspace has no run in {where}", store.SYNC_COMMAND)
    return Finding("ok", "MLflow", f"no runs yet; they go to {where}")


def _check_content(uri: str, content: _Content) -> Iterator[Finding]:
    yield Finding("ok", "MLflow", f"{masked(uri)}, which `make ui` shows")
    yield _check_artifacts(uri, content.location, bool(content.finished))
    yield _check_running(content.running)


def _read(uri: str) -> _Content | None:
    """Read the runs of this project in a store; None if there is no store, or no experiment in it."""
    if not _exists(uri):
        return None
    client = store.client(uri)
    experiment = client.get_experiment_by_name(access.experiment_name())
    if experiment is None:
        return None
    finished, running = (
        client.search_runs([experiment.experiment_id], f"attributes.status = '{status}'", max_results=most)
        for status, most in (("FINISHED", 1), ("RUNNING", 1000))
    )
    return _Content(experiment.artifact_location, list(finished), list(running))


def _exists(uri: str) -> bool:
    """Return whether a store exists, without an MLflow client, which would create it."""
    if folder := store.file_store(uri):
        return folder.exists()
    file = store.database(uri)
    if not file:
        return True
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
        return bool(connection.execute("SELECT name FROM sqlite_master WHERE name = 'experiments'").fetchone())


def _check_artifacts(uri: str, location: str, any_finished: bool) -> Finding:
    """Check that the folder with the files of runs, an absolute path in the store, exists and is the checkout's own."""
    parts = urlparse(location)
    if not store.database(uri) or parts.scheme not in {"", "file"}:
        return Finding("ok", "artifacts", location)
    folder, ours = Path(unquote(parts.path)), repository() / store.ARTIFACTS
    if uri == store.own_uri() and ".dvc/tmp/exps" in folder.as_posix():
        text = f"stored in the temporary folder of an experiment, which DVC removes: {folder}"
        return Finding("wrong", "artifacts", text, store.RECREATE_COMMAND)
    if uri == store.own_uri() and folder.name == ours.name and folder.resolve() != ours.resolve():
        text = f"stored in {folder}: this checkout was moved or copied"
        return Finding("wrong", "artifacts", text, _repair_commands(folder.parent))
    if any_finished and not folder.exists():
        text = f"{folder} does not exist: the files of the runs are lost"
        fix = f"{store.SYNC_COMMAND}  # adds what DVC has, except the models of older runs"
        return Finding("wrong", "artifacts", text, fix)
    return Finding("ok", "artifacts", str(folder))


def _repair_commands(old: Path) -> str:
    """Return the commands that make the path in the store valid again, one alternative per line."""
    if old.exists():  # a copy: two checkouts must not share a folder of runs
        return store.RECREATE_COMMAND
    parent = "" if old.parent.exists() else f"mkdir -p {shlex.quote(str(old.parent))} && "
    link = f"ln -s {shlex.quote(str(repository()))} {shlex.quote(str(old))}"
    return f"{parent}{link}  # keeps the runs\n{store.RECREATE_COMMAND}"


def _check_running(running: "list[Run]") -> Finding:
    """Check for runs that are marked as running although their process has ended."""
    processes = [(run.info.run_name, run.data.tags.get(PROCESS_TAG)) for run in running]
    stuck = [name for name, process in processes if process and is_gone(process)]
    if stuck:
        text = f"marked as running, but the process has ended: {', '.join(stuck)}"
        return Finding("wrong", "runs", text, f"{store.SYNC_COMMAND}  # marks them as killed")
    return Finding("ok", "runs", f"running: {len(running)}; stuck: none")
