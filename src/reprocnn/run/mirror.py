"""Show MLflow what happens, beside the stage, which never waits for an answer for more than a few seconds.

The ledger does the work, in a thread; it is imported here by name, and a checkout without it runs just the same.
What the tracker did not take in time, because it is down, slow, full or read-only, `python -m reprocnn sync` adds.
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
"""Seconds to wait at the end of a training that was told to end."""
_SHORTLY = 600.0
"""Seconds."""


class Work(Protocol):
    """What the ledger does: bring a run up to what has happened."""

    patience: float
    """Seconds that a stage waits for it at its end."""
    patience_again: float
    """The same where the tracker did not answer shortly before, so that a pipeline waits once."""

    def complete(self) -> None:
        """Add what the run lacks; can be repeated.

        Raises:
            UserError: with the cause and its fix.
        """

    def late(self, seconds: float) -> UserError:
        """Return what to say where it did not end within some seconds."""


_threads: "list[MirrorThread]" = []
"""Those that this process started."""


class NoMirror:
    """The mirror of a checkout without a ledger."""

    def wake(self) -> None:
        """Do nothing."""

    def finish(self, *, hurry: bool = False) -> None:
        """Do nothing."""


class MirrorThread(NoMirror):
    """A thread that does the ledger's work when woken. Where it fails, it says why once and tries at the next wake.

    Args:
        work: of the ledger.
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
        """Whether the work is still to be done, or being done, for the last time."""
        return not self._ended.is_set()

    def wake(self) -> None:
        """Have the work done soon."""
        self._awake.set()

    def finish(self, *, hurry: bool = False) -> None:
        """Have the work done for the last time; wait for that, but not for long, and say what is left undone.

        Args:
            hurry: whether somebody waits for this process to end.
        """
        seconds = min(self._patience(), _HURRY) if hurry else self._patience()
        self._ending.set()
        self.wake()
        in_time = self._ended.wait(seconds)
        with suppress(OSError):
            state.silent_tracker().unlink(missing_ok=True) if in_time else state.silent_tracker().touch()
        if error := self._error or (None if in_time else self._work.late(seconds)):
            self._warn(error)

    def _patience(self) -> float:
        with suppress(OSError):
            if time.time() - state.silent_tracker().stat().st_mtime < _SHORTLY:
                return self._work.patience_again
        return self._work.patience

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
        """Say a cause once. Not to the error stream: the thread may hold it back, with what TensorFlow writes there."""
        if found.problem not in self._said:
            self._said.add(found.problem)
            print(f"warning: this run is not whole; the stage goes on. {found.problem}", flush=True)
            print(f"  fix: {found.fix}", flush=True)


def _ledger(module: str) -> Any:
    """Return a module of the ledger; None in a checkout without it, where a folder with caches may be left."""
    found = find_spec(_LEDGER)
    return import_module(f"{_LEDGER}.{module}") if found and found.origin else None


def settings() -> dict[str, str]:
    """Return the environment variables that the ledger needs. Set them before the first thread, and never later:
    while a thread sets one, no other may start a process.
    """
    store = _ledger("store")
    return store.settings() if store else {}


def of_training(training: str) -> NoMirror:
    """Show a training, from now on.

    Args:
        training: the id of its journal.
    """
    live = _ledger("live")
    if not live:
        return NoMirror()
    try:
        shown = MirrorThread(live.Training(training))
    except OSError as error:  # such as one of git
        print(f"warning: MLflow does not see this training: {error}", flush=True)
        return NoMirror()
    shown.wake()
    return shown


def show(stage: str) -> None:
    """Show what evaluate or plot made, and wait for that."""
    if live := _ledger("live"):
        MirrorThread(live.Stage(stage)).finish()


def note() -> None:
    """Say what the ledger has to say of the checkout at the end of a stage."""
    if live := _ledger("live"):
        with suppress(OSError):
            live.note()


def is_busy() -> bool:
    """Return whether a tracker still does not answer; Python would wait for the threads that it keeps."""
    return any(thread.is_busy for thread in _threads)


def leave(status: int | str) -> None:
    """Exit after an error; at once where a tracker does not answer.

    Args:
        status: as for `sys.exit`; 0 lets the script come to its end, where no tracker is waited for.
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
