"""Connect to the MLflow store: a server, or a SQLite file in the user's checkout.

MLflow is imported inside the functions that use it, because the import takes seconds.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from reprocnn.artifacts.files import atomic_file
from reprocnn.errors import UserError
from reprocnn.ledger.access import experiment_name
from reprocnn.ledger.causes import cause
from reprocnn.masking import masked
from reprocnn.run import state
from reprocnn.run.state import repository

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FILE, ARTIFACTS = "mlflow.db", "mlartifacts"
"""Database and artifacts in the checkout, used if MLFLOW_TRACKING_URI is not set."""
SYNC_COMMAND = "python -m reprocnn sync"
RECREATE_COMMAND = (
    f"mkdir -p {ARTIFACTS}/old && mv {FILE}* {ARTIFACTS}/old && {SYNC_COMMAND}"
    "  # recreates the runs of what DVC has, without system metrics and registered models"
)
"""Moves the store of the checkout to a folder that Git ignores, and creates the runs again."""

DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # else each model gets uv.lock, which installs TensorFlow
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # errors are raised too, and reported once
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # else two lines per finished run, if there is a server
}
"""Settings of MLflow, unless the user sets them. The timeouts of stages are in run/mirror.py."""
_SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///(?!file:|:memory:)([^?]+)(\?.*)?")
_NO_FOLDER = ("databricks", "databricks-uc", "uc")
"""URIs of MLflow that are a single word but not the name of a folder."""


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, or the SQLite store in the checkout."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    return absolute(uri) if uri else own_uri()


def absolute(uri: str) -> str:
    """Make the path in a URI absolute, because the folder of a queued or temporary DVC experiment is deleted."""
    if file := database(uri):
        return _sqlite_uri(file) + (_SQLITE.fullmatch(uri)[2] or "")  # type: ignore[index]
    folder = file_store(uri)
    return folder.as_uri() if folder else uri


def own_uri() -> str:
    """Return the URI of the store in the checkout."""
    return _sqlite_uri(repository() / FILE)


def database(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for other stores."""
    found = _SQLITE.fullmatch(uri)
    return repository() / unquote(found[1]) if found else None


def file_store(uri: str) -> Path | None:
    """Return the folder of a file store; None for other stores."""
    if uri.startswith("file:"):
        parts = urlparse(uri)
        return None if parts.netloc else repository() / unquote(parts.path)
    # `server:5000` isn't a folder, although MLflow treats `127.0.0.1:5000` as one.
    return None if uri in _NO_FOLDER or re.match(r"[^/]*:", uri) else repository() / uri


def _sqlite_uri(file: Path) -> str:
    """Build the URI of a SQLite file.

    SQLAlchemy ends the path at `?` and decodes `%`, so both are encoded. MLflow creates the folder of a `sqlite:///`
    path without decoding it; naming the driver in the URI of an encoded path avoids this.
    """
    encoded = str(file).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{file}" if encoded == str(file) else f"sqlite+pysqlite:///{encoded}"


def settings() -> dict[str, str]:
    """Return the environment variables for MLflow, including the store: logging a model reads it only from there.

    Set them before the first thread of a process starts: no process can safely be started while another thread changes
    the environment.
    """
    defaults = {name: value for name, value in DEFAULTS.items() if name not in os.environ}
    return defaults | {"MLFLOW_TRACKING_URI": tracking_uri()}


def connect() -> tuple["MlflowClient", str]:
    """Return a client of the store and the ID of the experiment; create either one if it is missing.

    If several processes start at once without a store, one creates it and the others wait.
    """
    uri = tracking_uri()
    file = database(uri)
    if not file:
        opened = client(uri)
        return opened, _experiment(opened, _is_database(uri))
    from filelock import FileLock

    with FileLock(state.store_lock()):
        _prepare_sqlite(file)
        opened = client(uri)
        return opened, _experiment(opened, True)


def reader(uri: str = "") -> "MlflowClient":
    """Return a client of a store for what needs no MLflow experiment: none is created, and a deleted one stays so.

    Args:
        uri: the store; empty: that of `tracking_uri`.
    """
    uri = uri or tracking_uri()
    if file := database(uri):
        from filelock import FileLock

        with FileLock(state.store_lock()):
            _prepare_sqlite(file)
    return client(uri)


def client(uri: str) -> "MlflowClient":
    """Create a client of a store."""
    import mlflow

    if _is_database(uri):
        _check_connection(uri)
    return mlflow.MlflowClient(uri)


def _check_connection(uri: str) -> None:
    """Open and close a database, so that an error appears at once; MLflow would retry for 100 s."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    engine.connect().close()
    engine.dispose()


def has_no_server(uri: str) -> bool:
    """Return whether the store is a folder or a database, which this process writes to directly."""
    return bool(file_store(uri)) or _is_database(uri)


def _is_database(uri: str) -> bool:
    from mlflow.store.db.db_types import DATABASE_ENGINES

    return uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES


def _experiment(client: "MlflowClient", is_local: bool) -> str:
    """Return the ID of the MLflow experiment; create it if it is missing.

    MLflow's `set_experiment` is not used: it changes the environment, perhaps in a thread.

    Args:
        client: client of the store.
        is_local: whether this process chooses where artifacts go; otherwise a server does.
    """
    from mlflow.exceptions import MlflowException

    name = experiment_name()
    found = client.get_experiment_by_name(name)
    if found is None:
        # With this tag the UI opens on the runs, not on the pages for language models.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        location = _artifacts() if is_local else None
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=kind))
        except MlflowException as error:
            found = client.get_experiment_by_name(name)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or not found:
                raise
    if found.lifecycle_stage == "deleted":  # in the UI; runs can't be created in a deleted experiment
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _artifacts() -> str:
    return (repository() / ARTIFACTS).as_uri()


@contextmanager
def explain_errors(uri: str = "") -> Iterator[None]:
    """Convert an MLflow error in the block to a UserError.

    Args:
        uri: the store that the block uses; empty: that of `tracking_uri`.

    Raises:
        UserError: states the cause and its fix.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise user_error(error, uri) from None


def all_pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield what a search of MLflow finds on each of its pages.

    Args:
        search: searches; takes the token of the page, None for the first one.
    """
    page = search(None)
    yield from page
    while page.token:
        page = search(page.token)
        yield from page


def all_runs(client: "MlflowClient", experiment_id: str, *, deleted: bool = False) -> Iterator["Run"]:
    """Yield every run, newest first; with `deleted`, also deleted ones."""
    from mlflow.entities import ViewType

    view = ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    return all_pages(lambda token: client.search_runs([experiment_id], run_view_type=view, page_token=token))


def connect_or_explain() -> tuple["MlflowClient", str]:
    """Connect like `connect`, but raise only errors that state the cause and its fix.

    Raises:
        UserError: MLflow does not answer.
    """
    with explain_errors():
        return connect()


def find_run(run_id: str) -> "Run":
    """Return the only run whose ID begins with `run_id`.

    Raises:
        UserError: MLflow does not answer, or no run or several have such an ID.
    """
    client, experiment_id = connect_or_explain()
    with explain_errors():
        found = [run for run in all_runs(client, experiment_id) if run.info.run_id.startswith(run_id)]
    if len(found) != 1:
        raise UserError(
            f"{len(found)} runs in {masked(tracking_uri())} have an ID that begins with {run_id!r}, expected 1",
            "`python -m reprocnn runs` or `make ui` shows the IDs",
        )
    return found[0]


def user_error(error: BaseException, uri: str = "") -> UserError:
    """Convert an MLflow error to a UserError with the cause and one fix.

    Args:
        error: the error.
        uri: the store that failed; empty: that of `tracking_uri`.
    """
    uri = uri or tracking_uri()
    text, fix, is_damage = cause(error)
    if is_damage and uri == own_uri():
        fix = RECREATE_COMMAND
    if fix == "mlflow db upgrade":
        fix = f"{fix} {shlex.quote(uri)}  # back it up first"
    return UserError(masked(f"MLflow at {uri}: {text}"), masked(fix))


def _prepare_sqlite(file: Path) -> None:
    """Create a SQLite store that several processes can write to at once, unless the file has content.

    The file appears by rename: a store that was only partly created would fail forever ("table ... already exists").
    """
    import sqlite3
    from contextlib import closing

    if file.exists() and file.stat().st_size:
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with atomic_file(file) as partial:
        partial.unlink(missing_ok=True)
        uri = _sqlite_uri(partial)
        _check_connection(uri)
        # Not with a client: it writes the working directory into SQL without escaping apostrophes.
        SqlAlchemyStore(uri, _artifacts())
        with closing(sqlite3.connect(partial)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # a persistent setting of the file
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
