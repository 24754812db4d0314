"""Run the trials of a sweep: start as many as fit, follow and prune them, repeat those whose machine died."""

import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reprocnn.commands.sweep import cluster
from reprocnn.commands.sweep.board import Board
from reprocnn.commands.sweep.parent import Parent
from reprocnn.commands.sweep.places import Places
from reprocnn.commands.sweep.settings import Sweep, Value, read_sweep
from reprocnn.commands.sweep.study import Study
from reprocnn.commands.sweep.trial import News
from reprocnn.errors import UserError
from reprocnn.ledger.git import git, uncommitted
from reprocnn.params import read_params
from reprocnn.run import exits, locks, state

if TYPE_CHECKING:
    import optuna

_MAX_ATTEMPTS = 5
"""Times that a trial is started whose machine or process dies before it has finished another epoch."""
_FAILURES = 3
"""Trials that fail before one succeeds, after which the sweep ends."""
_CODE = ("src/", "stages/")
"""Folders whose new files have to be committed."""
_PAUSE = 0.2
"""Seconds between two looks at the running trials."""


@dataclass
class _Attempt:
    """A running trial, how often it was started, and its last epoch: in this attempt, and in any."""

    trial: "optuna.Trial"
    running: cluster.Running
    count: int = 1
    fruitless: int = 0
    """Attempts since one finished an epoch that none had finished before."""
    epoch: int = 0
    furthest: int = 0


def sweep(file: Path, address: str, remote: str, shared: Path | None) -> None:
    """Run a sweep, or continue it.

    Args:
        file: the file with its settings.
        address: where Ray runs: `local`, `auto`, or the address of a cluster.
        remote: the Git remote through which several machines exchange experiments.
        shared: a folder for checkpoints that several machines share.

    Raises:
        UserError: the settings are wrong, the workspace has uncommitted changes, or a part of the setup is missing.
    """
    base = read_params()
    settings = read_sweep(file, base)
    commit = _committed()
    places = Places(address, remote, shared, commit)
    name = f"{re.sub(r'[^A-Za-z0-9]+', '-', file.stem).strip('-') or 'sweep'}-{settings.identity(commit, base)}"
    with _exclusive(name), cluster.connected(address):
        exits.exit_on_sigterm()  # Ray sets a handler of its own
        study = Study(settings, name, state.sweeps() / f"{name}.journal")
        shutil.rmtree(places.clones(name), ignore_errors=True)  # of a sweep that was killed
        parent = Parent(name, file, settings, commit)
        _Launcher(base, settings, study, parent, places).run()


def _committed() -> str:
    """Return the last commit.

    Raises:
        UserError: it lacks changes of the workspace; new files count where they may be code.
    """
    changes = uncommitted()
    new = [name for name in changes.new_files if name.startswith(_CODE)]
    if changes.diff or new:
        names = [*re.findall(r"^diff --git a/(\S+)", changes.diff, re.MULTILINE), *new]
        problem = f"trials run the last commit, and it lacks changes of the workspace: {', '.join(names[:5])}"
        raise UserError(problem, "commit them, or `git stash` them")
    return git("rev-parse", "HEAD")


@contextmanager
def _exclusive(name: str) -> Iterator[None]:
    """Hold the lock of a study.

    Raises:
        UserError: another process runs the sweep.
    """
    lock = state.sweeps() / f"{name}.lock"
    with locks.try_lock(lock) as free:
        if not free:
            raise UserError(f"another process runs the sweep {name}", "wait until it ends, or stop it with Ctrl-C")
        yield


class _Launcher:
    """The loop of a sweep.

    Args:
        base: the content of params.yaml.
        settings: those of the sweep.
        study: proposes the trials.
        parent: the MLflow run of the sweep.
        places: where trials work.
    """

    def __init__(self, base: dict[str, Any], settings: Sweep, study: Study, parent: Parent, places: Places) -> None:
        self._base, self._settings, self._study, self._parent, self._places = base, settings, study, parent, places
        self._cpus = settings.cpus or settings.threads(base) or cluster.smallest()
        self._attempts: list[_Attempt] = []
        self._interrupted = study.interrupted()
        study.repeat_failed()
        self._deadline = time.monotonic() + 3600 * settings.hours if settings.hours else float("inf")
        self._failed = 0
        self._board = Board(study, self._name)

    def run(self) -> None:
        """Run trials until the sweep ends; after Ctrl-C or an error, stop those that run."""
        self._board.begin(self._cpus, self._settings.gpus, self._capacity())
        status = "FAILED"
        try:
            with self._board:
                while self._start_trials():
                    for attempt in list(self._attempts):
                        self._follow(attempt)
                    self._board.show({a.trial.number: a.epoch for a in self._attempts})
                    time.sleep(_PAUSE)
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit):
            status = "KILLED"
            print("stopping; the same command continues the sweep", flush=True)
            raise
        finally:
            cluster.stop([attempt.running for attempt in self._attempts])
            self._parent.update(self._study, self._name)
            self._parent.end(status)
            shutil.rmtree(self._places.clones(self._study.name), ignore_errors=True)
        self._board.end()
        if not self._study.count("COMPLETE"):
            sys.exit(1)

    def _capacity(self) -> int:
        count = cluster.capacity(self._cpus, self._settings.gpus)
        if not count and not self._attempts:
            found = f"{self._cpus} cores" + (f" and {self._settings.gpus} GPUs" if self._settings.gpus else "")
            raise UserError(f"no machine has {found} for a trial", "lower `cpus` or `gpus` in the file of the sweep")
        return count

    def _start_trials(self) -> bool:
        """Start as many trials as fit; return whether any runs."""
        if self._failed >= _FAILURES and not self._study.count("COMPLETE"):
            problem = f"the first {self._failed} trials failed, see their messages above"
            raise UserError(problem, "correct the cause; the same command continues the sweep")
        room = self._capacity() - len(self._attempts)
        while room > 0 and (trial := self._next()):
            self._attempts.append(_Attempt(trial, self._launch(trial)))
            self._board.started(trial, self._overrides(trial.params))
            room -= 1
        return bool(self._attempts)

    def _next(self) -> "optuna.Trial | None":
        """Return the next trial: one that was interrupted, else a new one; None if the sweep ends."""
        if time.monotonic() > self._deadline:
            return None
        if self._interrupted:
            return self._interrupted.pop(0)
        return self._study.ask() if self._study.has_next else None

    def _name(self, number: int) -> str:
        """Return the name of the DVC experiment of a trial."""
        return f"{self._study.name}-{number:03}"

    def _overrides(self, proposed: dict[str, Value]) -> dict[str, Value]:
        """Return the parameters of a trial that differ from params.yaml, and the number of its threads."""
        threads = {"threads": self._settings.threads(self._base) or self._cpus}
        return threads | self._settings.params | proposed

    def _launch(self, trial: "optuna.Trial") -> cluster.Running:
        overrides = tuple(f"{key}={_as_override(value)}" for key, value in self._overrides(trial.params).items())
        task = self._places.task(self._name(trial.number), overrides, self._parent.run_id, self._study.name)
        return cluster.Running(task, self._cpus, self._settings.gpus)

    def _follow(self, attempt: _Attempt) -> None:
        """Take the news of a trial."""
        try:
            news = attempt.running.news()
        except cluster.DiedError as error:
            self._repeat(attempt, str(error))
            return
        if news is None:
            return
        if news.killed:
            self._repeat(attempt, news.problem)
            return
        hopeless = False
        for epoch in news.epochs[attempt.epoch :]:
            attempt.epoch = int(epoch["epoch"])
            if self._settings.prunes != "none":
                hopeless = self._study.report(attempt.trial, attempt.epoch, epoch[self._settings.goal])
        if news.ended:
            self._end(attempt, news)
        elif hopeless:
            cluster.stop([attempt.running], pruned=True)
            self._close(attempt, None, "PRUNED")

    def _repeat(self, attempt: _Attempt, problem: str) -> None:
        """Start a trial again of which a process or the machine has died."""
        attempt.running.close()
        attempt.fruitless = 0 if attempt.epoch > attempt.furthest else attempt.fruitless + 1
        if attempt.fruitless >= _MAX_ATTEMPTS:
            again = f"its process died {attempt.fruitless} times at the same place; is the memory too small? {problem}"
            self._board.failed(attempt.trial, again)
            self._close(attempt, None, "FAIL")
            return
        attempt.count += 1
        attempt.epoch, attempt.furthest = 0, max(attempt.epoch, attempt.furthest)
        attempt.running = self._launch(attempt.trial)
        self._board.repeated(attempt.trial, attempt.count)

    def _end(self, attempt: _Attempt, news: News) -> None:
        """End a trial that succeeded or failed."""
        attempt.running.close()
        if news.problem:
            self._board.failed(attempt.trial, news.problem)
            self._close(attempt, None, "FAIL")
            return
        self._places.fetch(news.ref)
        self._close(attempt, float(news.metrics[self._settings.goal]), "COMPLETE")

    def _close(self, attempt: _Attempt, value: float | None, ended: str) -> None:
        """Complete the MLflow run of a trial, then tell Optuna: if this is killed before, the trial runs again."""
        self._parent.end_trial(self._name(attempt.trial.number), ended, attempt.epoch)
        self._study.tell(attempt.trial, value, ended)
        self._attempts.remove(attempt)
        self._failed += ended == "FAIL"
        self._board.ended(attempt.trial, ended, value, attempt.epoch)
        self._parent.update(self._study, self._name)


def _as_override(value: Value) -> str:
    """Write a value as Hydra reads it in `-S key=value`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not re.fullmatch(r"[\w./-]+", value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)
