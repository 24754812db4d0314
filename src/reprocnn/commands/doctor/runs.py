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
from reprocnn.ledger import store
from reprocnn.ledger.masking import masked
from reprocnn.ledger.record import PROCESS_TAG
from reprocnn.run.identity import is_gone
from reprocnn.run.state import repository

if TYPE_CHECKING:
    from mlflow.entities import Run

QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}
"""MLflow settings that avoid waiting for a server that is down."""


class _Seen(NamedTuple):
    """What a store has of this project: where artifacts go, at most one finished run, and the running ones."""

    location: str
    finished: "list[Run]"
    running: "list[Run]"


def runs() -> Iterator[Finding]:
    """Check the store that the stages write to and `make ui` shows."""
    uri = store.tracking_uri()
    where = masked(uri)
    try:
        seen = _look(uri)
    except Exception as error:  # MLflow's, SQLAlchemy's, SQLite's, those of a connection
        found = store.user_error(error)
        yield Finding("wrong", "MLflow", found.problem.removeprefix("MLflow at "), found.fix)
    else:
        yield from _of(uri, seen) if seen else [_none(where)]
    if uri != store.own_uri() and _has_own():
        text = f"older runs are in {store.FILE}, but MLFLOW_TRACKING_URI names {where} to the stages and `make ui`"
        fix = f"unset MLFLOW_TRACKING_URI  # to use those\n{store.SYNC_COMMAND}  # adds there what DVC has of them"
        yield Finding("note", "MLflow", text, fix)


def _has_own() -> bool:
    """Return whether the store in the checkout, which is not the one in use, has finished runs."""
    with suppress(Exception):  # it may be of another MLflow, or damaged, which hurts nobody
        seen = _look(store.own_uri())
        return bool(seen and seen.finished)
    return False


def _none(where: str) -> Finding:
    if MODEL.exists():
        return Finding("note", "MLflow", f"the result that is here has no run in {where}", store.SYNC_COMMAND)
    return Finding("ok", "MLflow", f"no runs yet; they go to {where}")


def _of(uri: str, seen: _Seen) -> Iterator[Finding]:
    yield Finding("ok", "MLflow", f"{masked(uri)}, where `make ui` looks")
    yield _artifacts(uri, seen.location, bool(seen.finished))
    yield _ends(seen.running)


def _look(uri: str) -> _Seen | None:
    """Read what a store has of this project; None if it has nothing."""
    if not _is_made(uri):
        return None
    client = store.client(uri)
    experiment = client.get_experiment_by_name(store.experiment_name())
    if experiment is None:
        return None
    finished, running = (
        client.search_runs([experiment.experiment_id], f"attributes.status = '{status}'", max_results=most)
        for status, most in (("FINISHED", 1), ("RUNNING", 1000))
    )
    return _Seen(experiment.artifact_location, list(finished), list(running))


def _is_made(uri: str) -> bool:
    """Return whether the store exists. A client must not find out, because MLflow creates a store that is absent."""
    if folder := store.file_store(uri):
        return folder.exists()
    file = store.database(uri)
    if not file:
        return True
    if not file.exists():
        return False
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True)) as connection:
        return bool(connection.execute("SELECT name FROM sqlite_master WHERE name = 'experiments'").fetchone())


def _artifacts(uri: str, location: str, any_finished: bool) -> Finding:
    """Check that the files of runs are at the absolute path that the store names."""
    parts = urlparse(location)
    if not store.database(uri) or parts.scheme not in {"", "file"}:
        return Finding("ok", "artifacts", location)
    folder, ours = Path(unquote(parts.path)), repository() / store.ARTIFACTS
    if uri == store.own_uri() and ".dvc/tmp/exps" in folder.as_posix():
        text = f"they go to the folder of an experiment, which goes away: {folder}"
        return Finding("wrong", "artifacts", text, store.RECREATE_COMMAND)
    if uri == store.own_uri() and folder.name == ours.name and folder.resolve() != ours.resolve():
        text = f"they go to {folder}: this checkout was moved or copied"
        return Finding("wrong", "artifacts", text, _back(folder.parent))
    if any_finished and not folder.exists():
        text = f"{folder} is gone, and with it the files of the runs"
        fix = f"{store.SYNC_COMMAND}  # adds what DVC has, but no models to older runs"
        return Finding("wrong", "artifacts", text, fix)
    return Finding("ok", "artifacts", str(folder))


def _back(old: Path) -> str:
    """Return the commands that make the paths in the store valid again, one alternative per line."""
    if old.exists():  # a copy: the runs of the two must not share a folder
        return store.RECREATE_COMMAND
    parent = "" if old.parent.exists() else f"mkdir -p {shlex.quote(str(old.parent))} && "
    link = f"ln -s {shlex.quote(str(repository()))} {shlex.quote(str(old))}"
    return f"{parent}{link}  # keeps the runs as they are\n{store.RECREATE_COMMAND}"


def _ends(running: "list[Run]") -> Finding:
    """Check for runs that are marked as running although their process has ended."""
    processes = [(run.info.run_name, run.data.tags.get(PROCESS_TAG)) for run in running]
    stuck = [name for name, process in processes if process and is_gone(process)]
    if stuck:
        text = f"left as running by a process that is gone: {', '.join(stuck)}"
        return Finding("wrong", "runs", text, f"{store.SYNC_COMMAND}  # marks them as killed")
    return Finding("ok", "runs", f"running: {len(running)}; stuck: none")
