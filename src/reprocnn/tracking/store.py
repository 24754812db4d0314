"""The MLflow store: a server, or a SQLite file in the user's checkout.

MLflow is imported where it is used: the import takes seconds.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.errors import UserError
from reprocnn.files import atomic_file
from reprocnn.paths import kept, repository
from reprocnn.tracking.facts import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "reprocnn"
FILE, ARTIFACTS = "mlflow.db", "mlartifacts"
"""In the checkout, where no server is named."""

# Defaults for the tracker; a user's own settings win. No stage waits for an answer: see live.py.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite store in the checkout. Never relative: an experiment's folder goes away."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{FILE}"
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{repository() / uri.removeprefix('sqlite:///')}"
    return uri


def experiment_name() -> str:
    """Of the MLflow experiment that the runs go to."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)


def apply_settings(**own: str) -> None:
    """Set what MLflow reads from the environment, before its import.

    Args:
        own: settings that win over the user's.
    """
    os.environ.update(own)
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def connect() -> tuple["MlflowClient", str]:
    """A client of the store and the id of the experiment in it; each is made where it is missing.

    Of several processes that start on a store that does not exist, one makes it and the others wait.
    """
    apply_settings()
    import mlflow

    uri, name = tracking_uri(), experiment_name()
    mlflow.set_tracking_uri(uri)
    if not uri.startswith("sqlite:///"):
        return mlflow.MlflowClient(), mlflow.set_experiment(name).experiment_id
    from filelock import FileLock

    database = Path(uri.removeprefix("sqlite:///"))
    with FileLock(kept("mlflow.lock")):
        _prepare_sqlite(database)
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            artifacts = (repository() / ARTIFACTS).as_uri()
            # The tag makes the UI open with the runs, not with its pages for language models.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            client.create_experiment(name, artifact_location=artifacts, tags=kind)
        elif experiment.lifecycle_stage == "deleted":  # in the UI, where the next run would have no place
            client.restore_experiment(experiment.experiment_id)
    return client, mlflow.set_experiment(name).experiment_id


def connected() -> tuple["MlflowClient", str]:
    """As `connect`, for a command that can't go on without.

    Raises:
        UserError: MLflow does not answer.
    """
    try:
        return connect()
    except Exception as error:
        raise unanswered(error) from None


def unanswered(error: Exception) -> UserError:
    """What to say where MLflow fails."""
    reason = " ".join(str(error).split())[:200]
    return UserError(
        masked(f"MLflow at {tracking_uri()} does not answer: {reason}"),
        "python -m reprocnn doctor; or start the server, or unset MLFLOW_TRACKING_URI for the store in the checkout",
    )


def _prepare_sqlite(database: Path) -> None:
    """Make a store that lets several processes write at once, where there is none.

    It appears by rename: one whose making was cut off raises for ever ("table ... already exists").
    """
    import sqlite3
    from contextlib import closing

    import mlflow

    if database.exists():
        return
    with atomic_file(database) as partial:
        partial.unlink(missing_ok=True)
        mlflow.MlflowClient(f"sqlite:///{partial}").search_experiments(max_results=1)
        with closing(sqlite3.connect(partial)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # stays in the file
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
