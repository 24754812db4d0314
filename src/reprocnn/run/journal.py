"""Record the events of a training in a file to which lines are only appended.

The journal keeps what DVC's outputs must not contain (times, process, machine) and what could not be uploaded to MLflow
in time. Each line is one event as JSON, with its Unix time in seconds:

- begin: key, params, hashes of train's dependencies, environment (machine and versions), process; again at each resume
- origin: name, tags and uncommitted changes, added by the ledger
- epoch: the row of the history, and the seconds it took
- trained: model_md5, dataset, metrics; when all outputs of train are written
- run: run_id of the MLflow run and the store that it is in, added by the ledger
- renamed: name and tags of the experiment that has the result now, added by the ledger
- end: status as in MLflow: FINISHED, FAILED, KILLED
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
        kind: the kind of event, such as `epoch`.
        time: Unix time in seconds.
        values: the values of the event.
    """

    kind: str
    time: float
    values: dict[str, Any]


_lock = threading.Lock()
_unwritten: dict[str, list[str]] = {}
"""Training ID -> lines that could not be written to disk yet."""


class Journal(NoJournal):
    """The journal of one training.

    Args:
        training: the ID of the training.
        wake: called after each event, for example to upload it to MLflow.
    """

    def __init__(self, training: str, wake: Callable[[], None] = lambda: None) -> None:
        self.training, self._wake = training, wake

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        """Add an epoch at its end."""
        self.add("epoch", **asdict(epoch), seconds=seconds)

    def add(self, kind: str, **values: Any) -> None:
        """Add an event."""
        append(self.training, kind, **values)
        self._wake()


def new_id(key: str) -> str:
    """Return a new training ID for a key; several trainings may share a key, as after `dvc repro --force`."""
    return f"{key[:16]}-{uuid.uuid4().hex[:8]}"


def _file(training: str) -> Path:
    return state.journals() / f"{training}.jsonl"


def append(training: str, kind: str, at: float | None = None, **values: Any) -> None:
    """Add an event to a training's journal.

    A full disk does not end the training: lines that can't be written stay in memory until the next event.

    Args:
        training: the ID of the training.
        kind: the kind of event.
        at: Unix time in seconds; None: now.
        **values: the values of the event, which JSON can represent.
    """
    line = json.dumps({"event": kind, "time": time.time() if at is None else at, **values})
    with _lock:
        lines = [*_unwritten.get(training, ()), line]
        try:
            _write(_file(training), lines)
            _unwritten.pop(training, None)
        except OSError as error:
            if training not in _unwritten:
                print(f"warning: can't write the journal ({error.strerror}); the stage continues", flush=True)
            _unwritten[training] = lines


def _write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as journal:
        journal.seek(-1 if journal.tell() else 0, os.SEEK_END)
        complete = journal.read() in {b"", b"\n"}  # a kill may have cut off the last line
        journal.write((("" if complete else "\n") + "\n".join(lines) + "\n").encode())


def read(training: str) -> list[Event]:
    """Return the events of a training, oldest first; empty if there is no journal."""
    with _lock:
        lines = "\n".join(_unwritten.get(training, ())).encode()
        with suppress(OSError):
            lines = _file(training).read_bytes() + b"\n" + lines
    return parse(lines)


def parse(content: bytes) -> list[Event]:
    """Return the events in the content of a journal; lines that are cut off are ignored."""
    return [event for line in content.splitlines() if (event := _parse(line))]


def _parse(line: bytes) -> Event | None:
    """Parse a line; return None if it is not a complete event."""
    try:
        values = json.loads(line)
        return Event(values.pop("event"), values.pop("time"), values)
    except (ValueError, LookupError, AttributeError, TypeError):
        return None


def trainings(key: str = "") -> list[str]:
    """Return the IDs of the trainings, oldest first.

    Args:
        key: the prefix of the IDs; empty: all trainings.
    """
    starts = {file.stem: _start_time(file.stem) for file in state.journals().glob(f"{key}*.jsonl")}
    return sorted((training for training in starts if starts[training]), key=lambda training: starts[training])


def _start_time(training: str) -> float:
    """Return the Unix time of a training's first event; 0 if the journal doesn't start with `begin`."""
    with suppress(OSError), _file(training).open("rb") as journal:
        first = _parse(journal.readline())
        return first.time if first and first.kind == "begin" else 0.0
    return 0.0


def status(events: list[Event]) -> str:
    """Return the MLflow status of a training. It stays RUNNING after a kill that left no `end` event."""
    last = [event for event in events if event.kind in {"begin", "end"}][-1:]
    return last[0].values["status"] if last and last[0].kind == "end" else "RUNNING"
