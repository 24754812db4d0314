"""Log stages to MLflow in a thread, so that a stage never waits long for the tracking server.

The ledger does the work. It is imported by name; without it the stages run all the same. What could not be logged in
time, because the server is down or slow or its disk is full, is added later by `python -m reprocnn sync`.
"""

import os
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from reprocnn.errors import UserError
from reprocnn.run import state

_LEDGER = "reprocnn.ledger"
_INTERRUPTED_TIMEOUT = 8.0
"""Longest wait in seconds for pending uploads of an interrupted training."""
_RECENT = 600.0
"""Seconds after a timeout during which `retry_timeout` applies."""


class Work(Protocol):
    """The work of the ledger: bring an MLflow run up to date."""

    timeout: float
    """Seconds a stage waits at exit for pending uploads."""
    retry_timeout: float
    """Seconds a stage waits if an earlier stage timed out recently, so that a pipeline waits only once."""

    def complete(self) -> None:
        """Upload what is missing from the run; can be repeated.

        Raises:
            UserError: the upload failed; states the cause and its fix.
        """

    def timeout_error(self, seconds: float) -> UserError:
        """Return the error to report if the work took longer than the given seconds."""


_threads: "list[MirrorThread]" = []
"""The threads that this process started."""


class NoMirror:
    """The mirror of a checkout without a ledger."""

    def wake(self) -> None:
        """Do nothing."""

    def finish(self, *, interrupted: bool = False) -> None:
        """Do nothing."""


class MirrorThread(NoMirror):
    """A thread that does the ledger's work when woken. After a failure it warns once and retries at the next wake.

    Args:
        work: the work to do.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._error: UserError | None = None
        self._printed: set[str] = set()
        self._awake, self._ending, self._ended = threading.Event(), threading.Event(), threading.Event()
        _threads.append(self)
        threading.Thread(target=self._loop, daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether the thread has not finished its last round of work."""
        return not self._ended.is_set()

    def wake(self) -> None:
        """Start the work in the thread, without waiting."""
        self._awake.set()

    def finish(self, *, interrupted: bool = False) -> None:
        """Do the work a last time, wait for it up to the timeout, and warn if it failed or timed out.

        Args:
            interrupted: whether the training was interrupted, and should exit soon.
        """
        seconds = min(self._timeout(), _INTERRUPTED_TIMEOUT) if interrupted else self._timeout()
        self._ending.set()
        self.wake()
        in_time = self._ended.wait(seconds)
        with suppress(OSError):
            state.silent_tracker().unlink(missing_ok=True) if in_time else state.silent_tracker().touch()
        if error := self._error or (None if in_time else self._work.timeout_error(seconds)):
            self._warn(error)

    def _timeout(self) -> float:
        with suppress(OSError):
            if time.time() - state.silent_tracker().stat().st_mtime < _RECENT:
                return self._work.retry_timeout
        return self._work.timeout

    def _loop(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            last = self._ending.is_set()
            try:
                self._work.complete()
                self._error = None
            except UserError as error:
                self._error = error
                if not last:
                    self._warn(error)
            if last:
                self._ended.set()
                return

    def _warn(self, error: UserError) -> None:
        """Print a warning once. Not to stderr: the thread may be capturing it to hide TensorFlow's messages."""
        if error.problem not in self._printed:
            self._printed.add(error.problem)
            print(f"warning: the MLflow run is incomplete; the stage continues. {error.problem}", flush=True)
            print(f"  fix: {error.fix}", flush=True)


def _ledger(module: str) -> Any:
    """Import a module of the ledger; None if the ledger was removed, even if its folder still has __pycache__."""
    found = find_spec(_LEDGER)
    return import_module(f"{_LEDGER}.{module}") if found and found.origin else None


def settings() -> dict[str, str]:
    """Return the environment variables that the ledger needs.

    Set them before the first thread starts: no process can safely be started while another thread changes the
    environment.
    """
    store = _ledger("store")
    return store.settings() if store else {}


def follow_training(training: str) -> NoMirror:
    """Log a training to MLflow while it runs.

    Args:
        training: the ID of the training.

    Returns:
        The thread that does it, or NoMirror if there is no ledger or it can't start.
    """
    live = _ledger("live")
    if not live:
        return NoMirror()
    try:
        thread = MirrorThread(live.Training(training))
    except OSError as error:  # for example from git
        print(f"warning: this training is not logged to MLflow: {error}", flush=True)
        return NoMirror()
    thread.wake()
    return thread


def log_stage(stage: str) -> None:
    """Log the outputs of evaluate or plot to MLflow, and wait for that."""
    if live := _ledger("live"):
        MirrorThread(live.Stage(stage)).finish()


def warn_if_head_detached() -> None:
    """Warn if a killed experiment left HEAD detached."""
    if live := _ledger("live"):
        with suppress(OSError):
            live.warn_if_head_detached()


def is_busy() -> bool:
    """Return whether uploads are still pending. Python would wait for MLflow's threads at a normal exit."""
    return any(thread.is_busy for thread in _threads)


def exit_process(status: int | str) -> None:
    """Exit with a status. While uploads are pending, exit at once, without waiting for MLflow's threads.

    Args:
        status: as for `sys.exit`. For 0 without pending uploads, return instead, so that the script ends normally.
    """
    if not is_busy():
        if status:
            sys.exit(status)
        return
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if isinstance(status, str) else status)
