"""Log stages to MLflow while they run. The module `run.mirror` imports this one by name and calls it in a thread."""

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

from reprocnn.artifacts.files import content_md5, md5
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.split import RAW_TEST
from reprocnn.errors import UserError
from reprocnn.ledger import git, record, revisions
from reprocnn.ledger.mirror import Mirror, find
from reprocnn.ledger.origin import origin, run_name, untracked_images
from reprocnn.ledger.store import SYNC_COMMAND, connect, explain_errors, tracking_uri, user_error
from reprocnn.masking import masked
from reprocnn.run import journal, orphans, state

_SERVER_TIMEOUT = 8.0
"""Seconds a stage waits at exit for pending uploads to a server."""
_RETRY_TIMEOUT = 0.5
"""Seconds it waits if the server timed out recently."""
_FILE_TIMEOUT = 120.0
"""Seconds it waits for a SQLite file, which is slow only on a busy machine."""


class _Work(ABC):
    """Work for a `MirrorThread`, with errors that state the fix."""

    @property
    def timeout(self) -> float:
        """Seconds a stage waits at exit for pending uploads."""
        return _FILE_TIMEOUT if _is_sqlite() else _SERVER_TIMEOUT

    @property
    def retry_timeout(self) -> float:
        """Seconds a stage waits if an earlier stage timed out recently."""
        return _FILE_TIMEOUT if _is_sqlite() else _RETRY_TIMEOUT

    def complete(self) -> None:
        """Add what is missing from the run.

        Raises:
            UserError: MLflow failed; states the cause and its fix.
        """
        try:
            with explain_errors():
                self._complete()
        except UserError as error:
            raise _with_sync_hint(error) from None

    def timeout_error(self, seconds: float) -> UserError:
        """Return the error to report if the work took longer than the given seconds."""
        return _with_sync_hint(user_error(TimeoutError(f"within {seconds:g} s")))

    @abstractmethod
    def _complete(self) -> None:
        """Add what is missing from the run; may raise any exception."""


def _is_sqlite() -> bool:
    return tracking_uri().startswith("sqlite")


def _with_sync_hint(error: UserError) -> UserError:
    return UserError(error.problem, f"{error.fix}\n  then: {SYNC_COMMAND}  # adds what is missing from the run")


class Training(_Work):
    """The MLflow run of a running training.

    Creating it adds the origin to the journal: commit, experiment, uncommitted changes.

    Args:
        training: the ID of the training.
    """

    def __init__(self, training: str) -> None:
        self._training = training
        self._mirror: Mirror | None = None
        self._monitor: Any = None
        _record_origin(training)

    def _complete(self) -> None:
        current = record.of_training(self._training)
        if not current:  # the disk is full and the journal has not been written
            return
        if current.model_md5 and current.model_md5 == md5(MODEL):
            current.add_trained(Path())
        # Set again below: if a step fails, the next call opens the run anew.
        mirror, self._mirror = self._mirror or _open_mirror(current, live=True), None
        if current.status != "RUNNING" and self._monitor:
            self._monitor.finish()
        mirror.complete_values(current)
        self._mirror = mirror
        if current.run_id != mirror.run_id:
            journal.append(self._training, "run", run_id=mirror.run_id, store=masked(tracking_uri()))
        if current.status == "RUNNING" and not self._monitor:
            self._monitor = _start_monitor(mirror.run_id)
        mirror.complete_files(current)


def _open_mirror(current: record.Record, *, live: bool) -> Mirror:
    client, experiment_id = connect()
    return Mirror(client, experiment_id, find(client, experiment_id, current), live=live)


def _record_origin(training: str) -> None:
    """Add the origin of a training to its journal; warn about images that neither Git nor DVC tracks."""
    changes = git.uncommitted()
    untracked = untracked_images(record.params_of(Path()))
    for images in untracked.values():
        inside = Path(images).resolve().is_relative_to(Path.cwd())  # `dvc add` takes no path outside or behind a link
        print(
            f"warning: neither Git nor DVC tracks the images at {images}, so nobody else can repeat this run; "
            + (f"run `dvc add {images}`" if inside else "move them into the checkout and `dvc add` them"),
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
    """The MLflow run of the model in the workspace, to which evaluate or plot adds; it is created if there is none.

    Args:
        stage: `evaluate` or `plot`.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def _complete(self) -> None:
        stages = ("evaluate", "plot") if self._stage == "plot" else ("evaluate",)
        current = record.of_folder(Path(), run_name(), origin(git.uncommitted()), md5(MODEL), stages)
        current.test_md5 = content_md5(RAW_TEST) if RAW_TEST.exists() else ""
        if not current.hashes:  # DVC restored the training from its cache, and wrote it to dvc.lock
            with suppress(UserError):
                current.hashes = revisions.workspace().train_deps
        if self._stage == "plot":
            current.model = None  # logged by evaluate; plot does not import TensorFlow
        _open_mirror(current, live=False).complete(current)


def warn_if_head_detached() -> None:
    """Warn, once per dvc process, if a killed `dvc exp run` left HEAD detached."""
    started = orphans.dvc_start_time()
    if state.repository() != Path.cwd() or _has_warned(started):
        return
    if branch := git.abandoned_branch(since=started):
        print(
            f"warning: a killed `dvc exp run` left HEAD detached from branch {branch}; commits would be on no branch; "
            f"after this run: {git.recovery_command(branch)}",
            flush=True,
        )
        state.head_warning().parent.mkdir(parents=True, exist_ok=True)
        state.head_warning().write_text(str(started))


def _has_warned(started: float) -> bool:
    file = state.head_warning()
    return file.exists() and file.read_text() == str(started) and started < time.time()
