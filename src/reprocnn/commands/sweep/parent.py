"""Show a sweep in MLflow: a run with settings, the best trial and figures, whose children are the runs of trials."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.commands.sweep import figures
from reprocnn.commands.sweep.settings import Sweep
from reprocnn.commands.sweep.study import Study
from reprocnn.commands.sync import complete_run
from reprocnn.errors import UserError
from reprocnn.ledger import revisions, store
from reprocnn.ledger.mirror import ARTIFACTS_TAG
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG, PARENT_TAG
from reprocnn.ledger.record import PROCESS_TAG
from reprocnn.masking import masked
from reprocnn.run.identity import this_process

if TYPE_CHECKING:
    from mlflow.entities import Run

SWEEP_TAG, TRIAL_TAG = "sweep", "sweep.trial"
"""The tags with the name of the study, in its run and in those of its trials, and with the state of a trial."""


class Parent:
    """The MLflow run of a sweep, and the runs of its trials. A later call of the sweep finds the same run.

    Args:
        name: the name of the study.
        file: the file of the sweep.
        sweep: its settings.
        commit: the commit that all trials are based on.

    Raises:
        UserError: MLflow does not answer.
    """

    def __init__(self, name: str, file: Path, sweep: Sweep, commit: str) -> None:
        self._name, self._commit = name, commit
        self._client, self._experiment = store.connect_or_explain()
        with store.explain_errors():
            query = f"tags.`{SWEEP_TAG}` = '{name}' and tags.`{TRIAL_TAG}` = 'none'"
            found = self._client.search_runs([self._experiment], query)
            run = found[0] if found else self._create(sweep)
            self.run_id: str = run.info.run_id
            self._client.set_tag(self.run_id, PROCESS_TAG, this_process())
            self._client.update_run(self.run_id, status="RUNNING")
            self._client.log_text(self.run_id, masked(file.read_text(encoding="utf-8")), file.name)

    def _create(self, sweep: Sweep) -> "Run":
        tags = {SWEEP_TAG: self._name, TRIAL_TAG: "none", "git.commit": self._commit, BASELINE_TAG: self._commit}
        run = self._client.create_run(self._experiment, run_name=self._name, tags=tags)
        settings = sweep.model_dump(exclude={"space", "params"}, exclude_none=True)
        space = {f"space.{key}": choices for key, choices in sweep.model_dump()["space"].items()}
        fixed = {f"params.{key}": value for key, value in sweep.params.items()}
        for key, value in (settings | space | fixed).items():
            self._client.log_param(run.info.run_id, key, value)
        return run

    def end_trial(self, experiment: str, state: str, epoch: int) -> None:
        """Complete the run of a trial that ended, and delete runs of attempts that were killed.

        Args:
            experiment: the name of the DVC experiment.
            state: `COMPLETE`, `PRUNED` or `FAIL`, as in Optuna.
            epoch: the last epoch of the trial.
        """
        with _warning():
            runs = self._runs_of(experiment)
            if state == "COMPLETE" and not any(map(_is_whole, runs)):
                complete_run(self._client, self._experiment, revisions.find(experiment))
                runs = self._runs_of(experiment)
            kept = max(runs, key=lambda run: (_is_whole(run), run.info.start_time), default=None)
            for run in runs:
                if run is not kept:
                    self._client.delete_run(run.info.run_id)
            if kept:
                self._tag(kept, state, epoch)

    def _tag(self, run: "Run", state: str, epoch: int) -> None:
        text = {"COMPLETE": "complete", "PRUNED": f"pruned after epoch {epoch}", "FAIL": "failed"}[state]
        for key, value in ((SWEEP_TAG, self._name), (TRIAL_TAG, text), (PARENT_TAG, self.run_id)):
            if run.data.tags.get(key) != value:
                self._client.set_tag(run.info.run_id, key, value)
        if state != "COMPLETE" and run.info.status == "RUNNING":
            self._client.set_terminated(run.info.run_id, "KILLED" if state == "PRUNED" else "FAILED")

    def _runs_of(self, experiment: str) -> "list[Run]":
        query = f"tags.`{EXPERIMENT_TAG}` = '{experiment}' and tags.`{BASELINE_TAG}` = '{self._commit}'"
        return list(self._client.search_runs([self._experiment], query))

    def update(self, study: Study, experiment_of: Callable[[int], str]) -> None:
        """Bring the run up to date with the study: counts, the best trial, the goal of each trial, and figures.

        Args:
            study: the study.
            experiment_of: returns the name of the DVC experiment of a trial.
        """
        from mlflow.entities import Metric

        at = int(time.time() * 1000)
        counts = {f"trials_{s.lower()}": study.count(s) for s in ("COMPLETE", "PRUNED", "FAIL")}
        metrics = [Metric(name, value, at, 0) for name, value in counts.items()]
        with _warning():
            if best := study.best():
                metrics.append(Metric("best_goal", best.value, at, len(study.trials)))
                self._client.set_tag(self.run_id, "sweep.best", experiment_of(best.number))
            self._client.log_batch(self.run_id, metrics=metrics)
            with tempfile.TemporaryDirectory() as folder:
                figures.write_all(study, experiment_of, Path(folder))
                self._client.log_artifacts(self.run_id, folder)

    def end(self, status: str) -> None:
        """Give the run its final status, as in MLflow."""
        with _warning():
            self._client.set_terminated(self.run_id, status)


def _is_whole(run: "Run") -> bool:
    """Return whether a run has all that plot, the last stage, logs."""
    return run.info.status == "FINISHED" and "report.html" in run.data.tags.get(ARTIFACTS_TAG, "")


@contextmanager
def _warning() -> Iterator[None]:
    """Print an error of MLflow as a warning: DVC and Optuna have the results, and the same command adds them later."""
    try:
        with store.explain_errors():
            yield
    except UserError as error:
        print(f"warning: MLflow lacks a part of the sweep; the same command adds it later. {error.problem}", flush=True)
