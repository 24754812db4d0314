"""MLflow while the stages run: beside them, so that no stage waits for an answer.

A stage adds to the record; a thread brings the run up to it. What the tracker did not take in time, because it is
down, slow, full or read-only, `python -m reprocnn sync` adds later.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reprocnn.artifacts.files import md5, write_json
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.model import MODEL
from reprocnn.errors import UserError
from reprocnn.ledger import record
from reprocnn.ledger.git import uncommitted
from reprocnn.ledger.masking import masked
from reprocnn.ledger.mirror import Mirror, find
from reprocnn.ledger.origin import origin, run_name, untracked_images
from reprocnn.ledger.record import MODEL_TAG, Record, Row
from reprocnn.ledger.store import SYNC, apply_settings, connect, failure, tracking_uri
from reprocnn.run.identity import ENVIRONMENT, this_process
from reprocnn.run.state import kept
from reprocnn.training.hooks import NoJournal

SECONDS = 8.0
"""That a stage waits at its end for a server to take the rest."""
SECONDS_AGAIN = 0.5
"""The same where the server did not answer shortly before, so that a pipeline waits once."""
SECONDS_OF_FILE = 60.0
"""The same for a SQLite file, which works or fails but does not keep one waiting, except where the machine is busy."""
_SHORTLY = 600.0


class LiveRun(NoJournal):
    """The MLflow run of a training that is going on.

    Args:
        record: of the training, which is kept as the journal.
    """

    def __init__(self, record_: Record) -> None:
        self._record = record_
        self._lock = threading.Lock()
        self._tracker = _Beside(self._complete)
        self._mirror: Mirror | None = None
        self._monitor: Any = None
        record.write_journal(record_)
        self._tracker.wake()

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Add an epoch, as it ends."""
        self.log_epoch({**asdict(epoch), "seconds": seconds, "ended": time.time()})

    def log_epoch(self, row: Row) -> None:
        """Add an epoch, as it ends."""
        with self._lock:
            self._record.rows = [r for r in self._record.rows if r["epoch"] != row["epoch"]] + [row]
            record.write_journal(self._record)
        self._tracker.wake()

    def log_trained(self) -> None:
        """Add what train wrote."""
        hash_ = md5(MODEL)
        write_json(ENVIRONMENT, {MODEL_TAG: hash_} | self._record.environment)
        with self._lock:
            self._record.model_md5 = hash_
            self._record.add_trained(Path())

    def end(self, status: str) -> None:
        """End the run, with its last state given to the tracker; wait for that, but not for long.

        Args:
            status: FINISHED, FAILED or KILLED.
        """
        with self._lock:
            self._record.status, self._record.ended = status, time.time()
            record.write_journal(self._record)
        self._tracker.finish(SECONDS if status == "KILLED" else None)

    def _complete(self) -> None:
        """Bring the run up to the record. Runs beside the training."""
        with self._lock:
            now = self._record.model_copy(deep=True)
        mirror, self._mirror = self._mirror or self._found(now), None  # after a failure it is looked at anew
        if now.status != "RUNNING" and self._monitor:
            self._monitor.finish()
        mirror.complete_values(now)
        self._mirror = mirror
        if now.status == "RUNNING" and not self._monitor:
            with self._lock:
                self._record.run_id = mirror.run_id
                record.write_journal(self._record)
            self._monitor = _started_monitor(mirror.run_id)
        mirror.complete_files(now)

    @staticmethod
    def _found(now: Record) -> Mirror:
        client, experiment_id = connect()
        return Mirror(client, experiment_id, find(client, experiment_id, now), live=True)


def _started_monitor(run_id: str | None) -> Any:
    """MLflow's own thread for the load of CPU, memory, disk and GPU."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=tracking_uri())
    monitor.start()
    return monitor


class _Beside:
    """A thread that does some work when woken. Where the work fails, it says why once and is tried at the next wake.

    Args:
        work: can be repeated.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._error: Exception | None = None
        self._said: set[str] = set()
        self._awake, self._ending, self._ended = threading.Event(), threading.Event(), threading.Event()
        apply_settings()  # not in the thread: see there
        threading.Thread(target=self._loop, name="tracker", daemon=True).start()

    def wake(self) -> None:
        self._awake.set()

    def finish(self, seconds: float | None = None) -> None:
        """Wake it for a last time; wait for the end, but not for long, and say what is left undone."""
        silent = kept("tracker-silent")
        seconds = seconds or _patience(silent)
        self._ending.set()
        self._awake.set()
        in_time = self._ended.wait(seconds)
        with suppress(OSError):
            silent.unlink(missing_ok=True) if in_time else silent.touch()
        if self._error:
            self._warn(failure(self._error))
        elif not in_time:
            self._warn(failure(TimeoutError(f"within {seconds:g} s")))

    def _loop(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            last = self._ending.is_set()
            try:
                self._work()
                self._error = None
            except Exception as error:
                self._error = error
                if not last:
                    self._warn(failure(error))
            if last:
                self._ended.set()
                return

    def _warn(self, found: UserError) -> None:
        """Say a cause once. Not to the error stream: the thread may hold it back, with what TensorFlow writes there."""
        if found.problem not in self._said:
            self._said.add(found.problem)
            print(f"warning: this run is not whole; the stage goes on. {found.problem}", flush=True)
            print(f"  fix: {found.fix}\n  then: {SYNC}  # adds what the run lacks", flush=True)


def _patience(silent: Path) -> float:
    """Seconds to wait for the tracker, by a file whose time is that of its last silence."""
    with suppress(OSError):
        if time.time() - silent.stat().st_mtime < _SHORTLY:
            return SECONDS_AGAIN
    return SECONDS_OF_FILE if tracking_uri().startswith("sqlite") else SECONDS


@contextmanager
def training_run(
    key: str, environment: dict[str, str], hashes: dict[str, str], *, resumes: bool = False, anew: bool = False
) -> Iterator[LiveRun]:
    """The MLflow run of a training; it ends as finished, failed, or killed (SIGTERM, Ctrl-C).

    Args:
        key: of the training; where one of the same key was cut off, its run goes on.
        environment: machine and versions.
        hashes: the md5 of what the train stage reads.
        resumes: there is a checkpoint, so that one was cut off, were it after its last epoch.
        anew: do not go on with a run that was cut off.
    """
    begun = _begun(key, environment, hashes)
    run = LiveRun(begun if anew else _gone_on(begun, key, resumes))
    try:
        yield run
    except BaseException as error:
        run.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    run.end("FINISHED")


def _begun(key: str, environment: dict[str, str], hashes: dict[str, str]) -> Record:
    """The record of a training that starts."""
    params = record.params_of(Path())
    untracked = untracked_images(params)
    for images in untracked.values():
        inside = Path(images).resolve().is_relative_to(Path.cwd())  # DVC adds nothing outside or behind a link
        print(
            f"warning: the images at {images} are in neither Git nor DVC, so nobody else can repeat this run; "
            + (f"`dvc add {images}` keeps them with it" if inside else "put them into the checkout and `dvc add` them"),
            flush=True,
        )
    return Record(
        name=run_name(),
        origin=origin() | untracked,
        started=time.time(),
        training=f"{key[:16]}-{uuid.uuid4().hex[:8]}",
        process=this_process(),
        environment=environment,
        params=params,
        hashes=hashes,
        changes=masked(uncommitted()),
    )


def _gone_on(begun: Record, key: str, resumes: bool) -> Record:
    """The record of the last training of the key, where it was cut off, as that of the one that starts."""
    last = [journal for journal in record.read_journals(key[:16]) if journal.params == begun.params][-1:]
    if not last or not (resumes or last[0].status in {"RUNNING", "KILLED"}):
        return begun
    return begun.model_copy(update={name: getattr(last[0], name) for name in ("training", "run_id", "started", "rows")})


def show(stage: str) -> None:
    """Bring the MLflow run of the model in the workspace up to what evaluate or plot made; make it where it is missing.

    Args:
        stage: evaluate or plot.
    """
    record.forget_checkpoint(md5(MODEL))
    _Beside(lambda: _show(stage)).finish()


def _show(stage: str) -> None:
    made = ("evaluate", "plot") if stage == "plot" else ("evaluate",)
    now = record.of_folder(Path(), run_name(), origin(), md5(MODEL), made)
    if stage == "plot":
        now.model = None  # to log it takes TensorFlow; evaluate has done that
    client, experiment_id = connect()
    Mirror(client, experiment_id, find(client, experiment_id, now)).complete(now)
