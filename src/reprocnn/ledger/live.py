"""The MLflow runs of stages while they run. The mirror of `run` imports this by name and calls it beside the stage."""

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
from reprocnn.ledger.store import SYNC, connect, explained, failure, tracking_uri
from reprocnn.run import journal, orphans, state

_SERVER_SECONDS = 8.0
"""Seconds that a stage waits at its end for a server."""
_AGAIN_SECONDS = 0.5
"""The same where the server did not answer shortly before."""
_FILE_SECONDS = 120.0
"""The same for a SQLite file, which works or fails at once, except where the machine is busy."""


class _Work(ABC):
    """What a mirror has done, with errors that say what to do."""

    @property
    def patience(self) -> float:
        """Seconds that a stage waits for this at its end."""
        return _FILE_SECONDS if _is_file() else _SERVER_SECONDS

    @property
    def patience_again(self) -> float:
        """The same where the tracker did not answer shortly before."""
        return _FILE_SECONDS if _is_file() else _AGAIN_SECONDS

    def complete(self) -> None:
        """Add what the run lacks.

        Raises:
            UserError: with the cause and its fix.
        """
        try:
            with explained():
                self._complete()
        except UserError as error:
            raise _then_sync(error) from None

    def late(self, seconds: float) -> UserError:
        """Return what to say where this did not end within some seconds."""
        return _then_sync(failure(TimeoutError(f"within {seconds:g} s")))

    @abstractmethod
    def _complete(self) -> None:
        """Add what the run lacks; raise whatever goes wrong."""


def _is_file() -> bool:
    return tracking_uri().startswith("sqlite")


def _then_sync(error: UserError) -> UserError:
    return UserError(error.problem, f"{error.fix}\n  then: {SYNC}  # adds what the run lacks")


class Training(_Work):
    """The MLflow run of a training that runs.

    Args:
        training: the id of its journal, which gets the origin: commit, experiment, uncommitted changes.
    """

    def __init__(self, training: str) -> None:
        self._training = training
        self._mirror: Mirror | None = None
        self._monitor: Any = None
        _note_origin(training)

    def _complete(self) -> None:
        now = record.of_training(self._training)
        if not now:  # the disk was full for its journal
            return
        if now.model_md5 and now.model_md5 == md5(MODEL):
            now.add_trained(Path())
        mirror, self._mirror = self._mirror or _mirror_of(now, live=True), None  # looked for again after a failure
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


def _note_origin(training: str) -> None:
    """Add to a journal where the training comes from; warn of images that nobody else has."""
    changes = git.uncommitted()
    untracked = untracked_images(record.params_of(Path()))
    for images in untracked.values():
        inside = Path(images).resolve().is_relative_to(Path.cwd())  # DVC adds nothing outside or behind a link
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
    """Start MLflow's own thread for the load of CPU, memory, disk and GPU."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=tracking_uri())
    monitor.start()
    return monitor


class Stage(_Work):
    """The MLflow run of the model in the workspace, with what evaluate or plot made; the run is made if there is none.

    Args:
        stage: evaluate or plot.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def _complete(self) -> None:
        made = ("evaluate", "plot") if self._stage == "plot" else ("evaluate",)
        now = record.of_folder(Path(), run_name(), origin(git.uncommitted()), md5(MODEL), made)
        if self._stage == "plot":
            now.model = None  # to log it takes TensorFlow; evaluate has done that
        _mirror_of(now, live=False).complete(now)


def note() -> None:
    """Say, once for each dvc process, where HEAD was left by a `dvc exp run` that was killed."""
    started = orphans.dvc_started()
    if state.repository() != Path.cwd() or _is_told(started):
        return
    if branch := git.left_branch(since=started):
        print(
            f"warning: an earlier `dvc exp run` was killed and left HEAD off branch {branch}: a commit now would be on "
            f"no branch; when this run has ended: {git.way_back(branch)}",
            flush=True,
        )
        state.warned().parent.mkdir(parents=True, exist_ok=True)
        state.warned().write_text(str(started))


def _is_told(started: float) -> bool:
    file = state.warned()
    return file.exists() and file.read_text() == str(started) and started < time.time()
