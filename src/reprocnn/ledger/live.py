"""Update MLflow runs while stages run. `run/mirror.py` imports this module by name and calls it in a thread."""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import MODEL
from reprocnn.errors import UserError
from reprocnn.ledger import git, record
from reprocnn.ledger.masking import masked
from reprocnn.ledger.mirror import Mirror, find
from reprocnn.ledger.origin import origin, run_name, untracked_images
from reprocnn.ledger.store import SYNC, connect, explain_errors, failure, tracking_uri
from reprocnn.run import journal, orphans, state

_SERVER_SECONDS = 8.0
"""Seconds a stage waits at exit for pending uploads to a server."""
_SHORT_SERVER_SECONDS = 0.5
"""The same if the server timed out recently."""
_FILE_SECONDS = 120.0
"""The same for a SQLite file, which succeeds or fails at once unless the machine is busy."""


class _Work(ABC):
    """A task of the mirror. Its errors state the cause and the fix."""

    @property
    def timeout(self) -> float:
        """Seconds a stage waits at exit for pending uploads."""
        return _FILE_SECONDS if _is_file() else _SERVER_SECONDS

    @property
    def short_timeout(self) -> float:
        """The same if the tracker timed out recently."""
        return _FILE_SECONDS if _is_file() else _SHORT_SERVER_SECONDS

    def complete(self) -> None:
        """Add what is missing from the run.

        Raises:
            UserError: states the cause and its fix.
        """
        try:
            with explain_errors():
                self._complete()
        except UserError as error:
            raise _with_sync(error) from None

    def timeout_error(self, seconds: float) -> UserError:
        """Build the error for uploads that did not end within a number of seconds."""
        return _with_sync(failure(TimeoutError(f"within {seconds:g} s")))

    @abstractmethod
    def _complete(self) -> None:
        """Add what is missing from the run; may raise any exception."""


def _is_file() -> bool:
    return tracking_uri().startswith("sqlite")


def _with_sync(error: UserError) -> UserError:
    """Add the sync command to the fix of an error."""
    return UserError(error.problem, f"{error.fix}\n  then: {SYNC}  # adds what is missing from the run")


class Training(_Work):
    """The MLflow run of a training in this process.

    Args:
        training: ID of the training; its origin (commit, experiment, uncommitted changes) is added to its journal.
    """

    def __init__(self, training: str) -> None:
        self._training = training
        self._mirror: Mirror | None = None
        self._monitor: Any = None
        _record_origin(training)

    def _complete(self) -> None:
        now = record.of_training(self._training)
        if not now:  # its journal could not be written
            return
        if now.model_md5 and now.model_md5 == md5(MODEL):
            now.add_trained(Path())
        mirror, self._mirror = self._mirror or _mirror_of(now, live=True), None  # after a failure, find the run again
        if now.status != "RUNNING" and self._monitor:
            self._monitor.finish()
        mirror.complete_values(now)
        self._mirror = mirror
        if now.run_id != mirror.run_id:
            journal.append(self._training, "run", run_id=mirror.run_id)
        if now.status == "RUNNING" and not self._monitor:
            self._monitor = _start_monitor(mirror.run_id)
        mirror.complete_files(now)


def _mirror_of(now: record.Record, *, live: bool) -> Mirror:
    client, experiment_id = connect()
    return Mirror(client, experiment_id, find(client, experiment_id, now), live=live)


def _record_origin(training: str) -> None:
    """Add the origin of a training to its journal; warn if neither Git nor DVC tracks the images."""
    changes = git.uncommitted()
    untracked = untracked_images(record.params_of(Path()))
    for images in untracked.values():
        inside = (
            Path(images).resolve().is_relative_to(Path.cwd())
        )  # `dvc add` takes nothing outside the checkout or behind a link
        print(
            f"warning: the images at {images} are in neither Git nor DVC, so nobody else can repeat this run; "
            + (f"`dvc add {images}` keeps them with it" if inside else "put them into the checkout and `dvc add` them"),
            flush=True,
        )
    journal.append(
        training,
        "origin",
        name=run_name(),
        tags=origin(changes) | untracked,
        diff=masked(changes.diff),
        new_files=changes.new_files,
    )


def _start_monitor(run_id: str | None) -> Any:
    """Start MLflow's thread that logs the load of CPU, memory, disk and GPU."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=tracking_uri())
    monitor.start()
    return monitor


class Stage(_Work):
    """The MLflow run of the model in the workspace, with the outputs of evaluate or plot; created if it does not exist.

    Args:
        stage: evaluate or plot.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def _complete(self) -> None:
        made = ("evaluate", "plot") if self._stage == "plot" else ("evaluate",)
        now = record.of_folder(Path(), run_name(), origin(git.uncommitted()), md5(MODEL), made)
        if self._stage == "plot":
            now.model = None  # evaluate has logged it, and that needs TensorFlow
        _mirror_of(now, live=False).complete(now)


def warn_about_head() -> None:
    """Warn, once per dvc process, if a killed `dvc exp run` left HEAD off its branch."""
    started = orphans.dvc_started()
    if state.repository() != Path.cwd() or _has_warned(started):
        return
    if branch := git.left_branch(since=started):
        print(
            f"warning: an earlier `dvc exp run` was killed and left HEAD off branch {branch}: a commit now would be on "
            f"no branch; fix, when this run has ended: {git.way_back(branch)}",
            flush=True,
        )
        state.head_warning().parent.mkdir(parents=True, exist_ok=True)
        state.head_warning().write_text(str(started))


def _has_warned(started: float) -> bool:
    file = state.head_warning()
    return file.exists() and file.read_text() == str(started) and started < time.time()
