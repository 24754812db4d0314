"""Show the progress of a sweep: a line per event, and on a terminal a bar with what runs now."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reprocnn.commands.sweep.settings import Value
from reprocnn.commands.sweep.study import Study

if TYPE_CHECKING:
    import optuna


class Board:
    """The progress of a sweep on the screen.

    Args:
        study: the study.
        name_of: returns the name of the DVC experiment of a trial.
    """

    def __init__(self, study: Study, name_of: Callable[[int], str]) -> None:
        self._study, self._name_of = study, name_of
        self._started: dict[int, float] = {}
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(soft_wrap=True), transient=True)
        self._bar = self._progress.add_task("trials", total=study.size)

    def __enter__(self) -> None:
        if self._progress.console.is_terminal:
            self._progress.start()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress.console.is_terminal:
            self._progress.stop()

    def begin(self, cpus: int, gpus: float, at_once: int) -> None:
        """Say what begins, or continues."""
        known, size = len(self._study.trials), self._study.size
        count = f"{size} trials" if size else "trials until the time is over"
        devices = f"{cpus} core{'s' * (cpus > 1)}" + (f" and {gpus:g} GPU" if gpus else "")
        self._print(f"sweep {self._study.name}: {count}, {at_once} at once, each on {devices}")
        if known:
            self._print(f"continuing: {self._study.count('COMPLETE')} of {known} trials are complete{self._best()}")

    def started(self, trial: "optuna.Trial", overrides: dict[str, Value]) -> None:
        """Say that a trial starts, and with which parameters."""
        self._started[trial.number] = time.monotonic()
        values = " ".join(f"{key}={_short(value)}" for key, value in overrides.items())
        self._print(f"{self._name_of(trial.number)}  starts  {values}")

    def repeated(self, trial: "optuna.Trial", count: int) -> None:
        """Say that a trial starts again."""
        self._print(f"{self._name_of(trial.number)}  its process has died; starting it again (attempt {count})")

    def failed(self, trial: "optuna.Trial", problem: str) -> None:
        """Say why a trial failed."""
        self._print(f"{self._name_of(trial.number)}  failed: {problem}")

    def ended(self, trial: "optuna.Trial", state: str, value: float | None, epoch: int) -> None:
        """Say how a trial ended, and which is the best; `failed` says it of a trial that failed."""
        if state == "FAIL":
            return
        seconds = time.monotonic() - self._started.get(trial.number, time.monotonic())
        results = {
            "COMPLETE": f"{self._study.goal} {value if value is None else _short(value)}",
            "PRUNED": f"pruned after epoch {epoch}",
        }
        self._print(f"{self._name_of(trial.number)}  {results[state]}  {seconds:.0f} s{self._best()}")

    def show(self, epochs: dict[int, int]) -> None:
        """Update the bar: the trials that run, with the last epoch of each."""
        running = ", ".join(f"{number:03} epoch {epoch}" for number, epoch in epochs.items())
        done = sum(trial.state.is_finished() for trial in self._study.trials)
        self._progress.update(self._bar, completed=done, description=f"running: {running}")

    def end(self) -> None:
        """Print the best trial and how to take it."""
        complete, pruned, failed = (self._study.count(state) for state in ("COMPLETE", "PRUNED", "FAIL"))
        self._print(f"{complete} trials complete, {pruned} pruned, {failed} failed")
        if best := self._study.best():
            values = ", ".join(f"{key}: {_short(value)}" for key, value in best.params.items())
            self._print(f"best: {self._name_of(best.number)}, {self._study.goal} {_short(best.value)} with {values}")
            self._print(f"`dvc exp apply {self._name_of(best.number)}` takes it; `dvc exp show` lists all")

    def _best(self) -> str:
        best = self._study.best()
        return f"  best {_short(best.value)} ({self._name_of(best.number)})" if best else ""

    def _print(self, text: str) -> None:
        self._progress.console.print(escape(text), highlight=False)


def _short(value: Value | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
