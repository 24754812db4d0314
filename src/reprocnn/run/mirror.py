"""Update MLflow in a thread while a stage runs; the stage never waits for a server for more than a few seconds.

The ledger does the work. It is imported by name here, so that a checkout without it runs in the same way.
`python -m reprocnn sync` adds later what a tracker that is down, slow, full or read-only did not receive.
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
_HURRY = 8.0
"""Seconds to wait at exit after a signal."""
_RECENT = 600.0
"""Seconds for which a tracker that timed out is given only the short timeout."""


class Work(Protocol):
    """A task of the ledger: update an MLflow run."""

    timeout: float
    """Seconds a stage waits at exit for pending uploads."""
    short_timeout: float
    """The same if the tracker timed out recently, so that only one stage of a pipeline waits long."""

    def complete(self) -> None:
        """Add what is missing from the run; can be repeated.

        Raises:
            UserError: states the cause and its fix.
        """

    def timeout_error(self, seconds: float) -> UserError:
        """Build the error for uploads that did not end within a number of seconds."""


_threads: "list[MirrorThread]" = []
"""The threads that this process started."""


class NoMirror:
    """A mirror that does nothing, for a checkout without a ledger."""

    def wake(self) -> None:
        """Do nothing."""

    def finish(self, *, hurry: bool = False) -> None:
        """Do nothing."""


class MirrorThread(NoMirror):
    """A thread that does the work of the ledger when woken. After a failure it prints the cause once and retries later.

    Args:
        work: the task.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._error: UserError | None = None
        self._said: set[str] = set()
        self._awake, self._ending, self._ended = threading.Event(), threading.Event(), threading.Event()
        _threads.append(self)
        threading.Thread(target=self._loop, daemon=True).start()

    @property
    def is_busy(self) -> bool:
        """Whether the last update has not ended yet."""
        return not self._ended.is_set()

    def wake(self) -> None:
        """Start an update."""
        self._awake.set()

    def finish(self, *, hurry: bool = False) -> None:
        """Start the last update and wait for its end, up to the timeout; warn if something is pending.

        Args:
            hurry: whether the process was told to end.
        """
        seconds = min(self._timeout(), _HURRY) if hurry else self._timeout()
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
                return self._work.short_timeout
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

    def _warn(self, found: UserError) -> None:
        """Print a cause once. Not to stderr: the thread may suppress what TensorFlow writes there."""
        if found.problem not in self._said:
            self._said.add(found.problem)
            print(f"warning: this run is incomplete; the stage continues. {found.problem}", flush=True)
            print(f"  fix: {found.fix}", flush=True)


def _ledger(module: str) -> Any:
    """Import a module of the ledger; None in a checkout without it, which may still have the folder with caches."""
    found = find_spec(_LEDGER)
    return import_module(f"{_LEDGER}.{module}") if found and found.origin else None


def settings() -> dict[str, str]:
    """Return the environment variables that the ledger needs.

    Set them before the first thread starts: no process can safely be started while another thread changes them.
    """
    store = _ledger("store")
    return store.settings() if store else {}


def follow_training(training: str) -> NoMirror:
    """Start to update the MLflow run of a training.

    Args:
        training: ID of the training.
    """
    live = _ledger("live")
    if not live:
        return NoMirror()
    try:
        shown = MirrorThread(live.Training(training))
    except OSError as error:  # for example of git
        print(f"warning: this training is not shown in MLflow: {error}", flush=True)
        return NoMirror()
    shown.wake()
    return shown


def show_stage(stage: str) -> None:
    """Add the outputs of evaluate or plot to the MLflow run, and wait for that."""
    if live := _ledger("live"):
        MirrorThread(live.Stage(stage)).finish()


def warn_about_head() -> None:
    """Warn if a killed `dvc exp run` left HEAD off its branch."""
    if live := _ledger("live"):
        with suppress(OSError):
            live.warn_about_head()


def is_busy() -> bool:
    """Return whether an update is still pending; at exit, Python would wait for its threads."""
    return any(thread.is_busy for thread in _threads)


def exit_stage(status: int | str) -> None:
    """Exit after an error; if an update is pending, exit at once in any case.

    Args:
        status: as for `sys.exit`; 0: return, so that the script ends by itself.
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
