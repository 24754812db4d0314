"""The journal of a training: what happened, event by event, in a file that only grows.

It keeps what DVC's outs must not hold (times, process, machine) and what MLflow could not take in time. Each line is
one event as JSON, with its Unix time in seconds:

- begin: key, params, hashes of what train reads, environment (machine and versions), process; again at each resume
- origin: name, tags and uncommitted changes, added by the ledger
- epoch: the row of the history, and its seconds
- trained: model_md5, dataset, metrics, when all files of train are written
- run: run_id of the MLflow run, added by the ledger
- renamed: name and tags of the experiment that has the result now, added by the ledger
- end: status, in MLflow's words: FINISHED, FAILED, KILLED
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reprocnn.artifacts.history import Epoch
from reprocnn.run import state
from reprocnn.training.hooks import NoJournal


@dataclass(frozen=True)
class Event:
    """One line of a journal.

    Args:
        kind: what happened, such as `epoch`.
        time: Unix time in seconds.
        values: of that kind.
    """

    kind: str
    time: float
    values: dict[str, Any]


_lock = threading.Lock()
_unwritten: dict[str, list[str]] = {}
"""Lines of this process that the disk did not take, by training."""


class Journal(NoJournal):
    """The journal of one training.

    Args:
        training: its id.
        wake: called after each event, for example to show it in MLflow.
    """

    def __init__(self, training: str, wake: Callable[[], None] = lambda: None) -> None:
        self.training, self._wake = training, wake

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Add an epoch as it ends."""
        self.add("epoch", **asdict(epoch), seconds=seconds)

    def add(self, kind: str, **values: Any) -> None:
        """Add an event."""
        append(self.training, kind, **values)
        self._wake()


def new_id(key: str) -> str:
    """Return an id for a training of a key; several trainings may have one key, as after `dvc repro --force`."""
    return f"{key[:16]}-{uuid.uuid4().hex[:8]}"


def _file(training: str) -> Path:
    return state.journals() / f"{training}.jsonl"


def append(training: str, kind: str, at: float | None = None, **values: Any) -> None:
    """Add an event to a training's journal.

    A full disk does not end the training: this process keeps what could not be written, and writes it with the next
    event.

    Args:
        training: its id.
        kind: of the event.
        at: Unix time in seconds; None: now.
        **values: of the event, as JSON holds them.
    """
    line = json.dumps({"event": kind, "time": time.time() if at is None else at, **values})
    with _lock:
        lines = [*_unwritten.get(training, ()), line]
        try:
            _write(_file(training), lines)
            _unwritten.pop(training, None)
        except OSError as error:
            if training not in _unwritten:
                print(f"warning: the journal is not written ({error.strerror}); the stage goes on", flush=True)
            _unwritten[training] = lines


def _write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as journal:
        journal.seek(-1 if journal.tell() else 0, os.SEEK_END)
        whole = journal.read() in {b"", b"\n"}  # else a kill cut a line off
        journal.write((("" if whole else "\n") + "\n".join(lines) + "\n").encode())


def read(training: str) -> list[Event]:
    """Return the events of a training, the oldest first; empty where there is no journal."""
    with _lock:
        lines = [line.encode() for line in _unwritten.get(training, ())]
        with suppress(OSError):
            lines = _file(training).read_bytes().splitlines() + lines
    return [event for line in lines if (event := _parse(line))]


def _parse(line: bytes) -> Event | None:
    """Return the event of a line; None for a line that was cut off."""
    try:
        values = json.loads(line)
        return Event(values.pop("event"), values.pop("time"), values)
    except (ValueError, LookupError, AttributeError, TypeError):
        return None


def trainings(key: str = "") -> list[str]:
    """Return the ids of trainings, the oldest first.

    Args:
        key: with which the ids begin; empty: all.
    """
    started = {file.stem: _started(file.stem) for file in state.journals().glob(f"{key}*.jsonl")}
    return sorted((training for training in started if started[training]), key=lambda t: started[t])


def _started(training: str) -> float:
    with suppress(OSError), _file(training).open("rb") as journal:
        first = _parse(journal.readline())
        return first.time if first and first.kind == "begin" else 0.0
    return 0.0


def status(events: list[Event]) -> str:
    """Return how a training ended, in MLflow's words; RUNNING while it runs, and after a kill that left no event."""
    last = [event for event in events if event.kind in {"begin", "end"}][-1:]
    return last[0].values["status"] if last and last[0].kind == "end" else "RUNNING"
