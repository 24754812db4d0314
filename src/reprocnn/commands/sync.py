"""Make MLflow match DVC: every result has a run, and every run that ended has its final status."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.figures import FIGURES
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model import MODEL, ONNX_MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.scores import METRICS
from reprocnn.artifacts.training import TRAINING
from reprocnn.errors import UserError
from reprocnn.ledger import record, revisions, store
from reprocnn.ledger.mirror import Mirror, find, find_renamed, was_deleted
from reprocnn.ledger.origin import experiment_of
from reprocnn.ledger.record import PROCESS_TAG, Record
from reprocnn.ledger.revisions import Result
from reprocnn.masking import masked, masked_message
from reprocnn.run import checkpoints, journal, locks, state
from reprocnn.run.identity import is_gone

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class UnavailableError(UserError):
    """The error for a result that is not complete, or whose files are not available."""


def sync(names: list[str]) -> None:
    """Add to MLflow what is missing there of the named results, or of the workspace and every experiment.

    Exits with status 1 if MLflow fails for one of them.

    Args:
        names: experiments or revisions; empty: the workspace and every experiment.

    Raises:
        UserError: there is no such experiment, or MLflow does not answer.
    """
    with locks.exclusive(state.sync_lock(), "syncs MLflow with DVC"):
        client, experiment_id = store.connect_or_explain()
        results, counts = _results(names), Counter[str]()
        failed = _apply_to_each(client, experiment_id, results, partial(_complete, counts))
        counts["failed"] = len(failed)
        counts["skipped"] = len(results) - counts.total()
        if not names:
            failed += _end_trainings(client, experiment_id, counts) + _end_runs(client, experiment_id)
    _print_counts(counts, len(results))
    exit_if_failed(failed)


def create_missing() -> str:
    """Create the missing runs of experiments, and complete the run of the workspace; report failures and continue.

    Returns:
        The ID of the MLflow experiment with the runs.

    DVC restores a repeated experiment from its run cache without starting a stage, so no stage creates its run.
    Experiments that have a run are not read: if nothing is missing, this takes little time.

    Raises:
        UserError: MLflow does not answer.
    """
    with locks.exclusive(state.sync_lock(), "syncs MLflow with DVC"):
        client, experiment_id = store.connect_or_explain()
        with store.explain_errors():
            known = {experiment_of(run.data.tags) for run in store.all_runs(client, experiment_id)}
        absent = [e for e in revisions.experiments() if experiment_of(e.origin) not in known]
        here = [revisions.workspace()] if revisions.LOCK.exists() else []
        _apply_to_each(client, experiment_id, [*absent, *here], partial(_complete, Counter()))
    return experiment_id


def complete_run(client: "MlflowClient", experiment_id: str, result: Result) -> str:
    """Add to MLflow what is missing there of a result; return the ID of its run.

    Raises:
        UnavailableError: the result is not complete, or its model is neither in DVC's cache nor in a remote.
        UserError: DVC can't read its remote, or MLflow does not answer.
    """

    def complete(mirror: Mirror, made: Record) -> str:
        mirror.complete(made)
        return str(mirror.run_id)

    try:
        with locks.exclusive(state.sync_lock(), "syncs MLflow with DVC"), result.files() as folder:
            made = _read_record(result, folder)
            with store.explain_errors():
                return _apply(client, experiment_id, complete, made)
    except UserError:
        raise
    except Exception as error:
        raise _of_dvc(error) from error


def print_runs(names: list[str]) -> None:
    """Print the MLflow run of each result, and what is missing from the run.

    Exits with status 1 if MLflow fails for one of them.

    Args:
        names: experiments or revisions; empty: the workspace and every experiment.

    Raises:
        UserError: there is no such experiment, or MLflow does not answer.
    """
    client, experiment_id = store.connect_or_explain()
    failed = _apply_to_each(client, experiment_id, _results(names), _describe)
    print(
        "`python -m reprocnn sync` adds what is missing; `python -m reprocnn reproduce RUN` checks out what made a run"
    )
    exit_if_failed(failed)


def _of_dvc(error: Exception) -> UserError:
    """Convert an error of DVC, for example about a remote that can't be read: each kind of remote has its own."""
    return UserError(masked(" ".join(str(error).split())), "python -m reprocnn doctor")


def exit_if_failed(failed: list[UserError]) -> None:
    """Exit with status 1 if something failed, after printing each fix once."""
    if failed:
        for fix in dict.fromkeys(error.fix for error in failed):
            print(f"  fix: {fix}")
        print(f"failed: {len(failed)}; the others succeeded")
        sys.exit(1)


def _complete(counts: Counter[str], mirror: Mirror, made: Record) -> str:
    """Complete the run of a result, and count it; return its ID and what was added."""
    is_new = mirror.run_id is None
    added = mirror.complete(made)
    counts["created" if is_new else "completed" if added else "complete"] += 1
    return f"run {mirror.run_id}  " + (f"added {', '.join(added)}" if added else "complete")


def _print_counts(counts: Counter[str], n: int) -> None:
    """Print how many of n results got a run, and how many trainings without a result."""
    noun = "result" if n == 1 else "results"
    runs = "run" if counts["created"] == 1 else "runs"
    done = f"{counts['created']} {runs} created, {counts['completed']} completed, {counts['complete']} already complete"
    rest = "".join(f", {counts[kind]} {kind}" for kind in ("skipped", "failed") if counts[kind])
    others = f"; completed of other trainings: {counts['others']}" if counts["others"] else ""
    print(f"{n} {noun}: {done}{rest}{others}")


def _describe(mirror: Mirror, made: Record) -> str:
    """Return the ID of a result's run and what it lacks, or that it has no run."""
    if not mirror.run_id:
        return "no run"
    lacks = [name for name, _ in mirror.missing(made)]
    return f"run {mirror.run_id}  " + (f"lacks {', '.join(lacks)}" if lacks else "complete")


def _results(names: list[str]) -> list[Result]:
    """Return the named results, or those of every experiment and the workspace."""
    if names:
        return [revisions.find(name) for name in names]
    # The workspace last: if it holds an applied experiment, both share the run of that experiment.
    return [*revisions.experiments(), revisions.workspace()]


def _apply_to_each(
    client: "MlflowClient", experiment_id: str, results: list[Result], act: Callable[[Mirror, Record], str]
) -> list[UserError]:
    """Call `act` with the run and the record of each result, and print a line with what it returns.

    Returns:
        The errors, one per result that failed; a result without finished training is skipped.
    """
    width = max((len(result.name) for result in results), default=0)
    failed: list[UserError] = []
    for number, result in enumerate(results, start=1):
        try:
            with result.files() as folder:
                made = _read_record(result, folder)
                message = _attempt(failed, partial(_apply, client, experiment_id, act, made))
        except UserError as error:
            message = f"skipped: {masked_message(error.problem)}"
        except Exception as error:  # continue with the others
            failed.append(_of_dvc(error))
            message = f"failed: {failed[-1].problem}"
        print(f"[{number}/{len(results)}] {result.name:{width}}  {result.where:9}  {message}", flush=True)
    return failed


def _apply(client: "MlflowClient", experiment_id: str, act: Callable[[Mirror, Record], str], made: Record) -> str:
    """Find the run of a record and call `act` with both."""
    run = find(client, experiment_id, made)
    run = run or find_renamed(client, experiment_id, made, {experiment_of(e.origin) for e in revisions.experiments()})
    return act(Mirror(client, experiment_id, run), made)


def _attempt(failed: list[UserError], act: Callable[[], str]) -> str:
    """Call `act` and return its message. If MLflow fails, add the error to `failed` and return its cause."""
    try:
        with store.explain_errors():
            return act()
    except UserError as error:
        failed.append(error)
        return f"failed: {error.problem}"


def _read_record(result: Result, folder: Path) -> Record:
    """Read the record of a result from the folder with its files.

    Raises:
        UnavailableError: the training has not finished, or the model can't be found.
    """
    if not all(result.has(folder, out) for out in (HISTORY, TRAINING)):
        raise UnavailableError("its training has not finished, or its files differ from dvc.lock", "dvc repro")
    if not (folder / MODEL_CARD).exists():
        raise UnavailableError("its model is neither in DVC's cache nor in a remote", "dvc pull, or dvc repro")
    stages = [s for s, out in (("evaluate", METRICS), ("plot", FIGURES)) if result.has(folder, out)]
    made = record.of_folder(folder, result.name, result.origin, result.model_md5, tuple(stages))
    made.hashes = made.hashes or result.train_deps
    made.changes = made.changes or result.changes
    made.test_md5 = result.test_md5 if "evaluate" in stages else ""
    if made.model and not result.has(folder, MODEL):
        made.model = None
    if made.onnx and not result.has(folder, ONNX_MODEL):
        made.onnx = None
    return made


def _end_trainings(client: "MlflowClient", experiment_id: str, counts: Counter[str]) -> list[UserError]:
    """Finish the runs of trainings that were killed, or whose end was not uploaded; return the errors."""
    failed: list[UserError] = []
    for made in record.of_trainings():
        ended = made if made.status != "RUNNING" else _mark_killed(made)
        if not ended or (ended.name == record.UNKNOWN and not ended.epochs):  # killed right after its start
            continue
        if message := _attempt(failed, partial(_end_training, client, experiment_id, ended)):
            print(f"{ended.name}  {ended.status.lower()}  {message}", flush=True)
            counts["others"] += "added" in message
    return failed


def _mark_killed(made: Record) -> Record | None:
    """Mark a training as killed in its journal and return its record; None if its process is still running."""
    with checkpoints.try_lock(made.key) as unused:
        now = record.of_training(made.training)  # it may have ended in the meantime
        if not unused or not now:
            return None
        if now.status == "RUNNING":
            now.status = "KILLED"
            now.ended = max((times.ended for times in now.times.values()), default=now.started)
            journal.append(now.training, "end", at=now.ended, status=now.status)
        return now


def _end_training(client: "MlflowClient", experiment_id: str, made: Record) -> str:
    """Complete the run of a training that ended; return what was added, empty if nothing was."""
    # Search by the ID of the training only: a run of another experiment may have the same model.
    run = find(client, experiment_id, replace(made, model_md5=""))
    if not run and was_deleted(client, made):
        return ""
    mirror = Mirror(client, experiment_id, run)
    added = mirror.complete(made)
    return f"run {mirror.run_id}  added {', '.join(added)}" if added else ""


def _end_runs(client: "MlflowClient", experiment_id: str) -> list[UserError]:
    """Mark runs without a journal as killed if their process ran on this host and has ended; return the errors."""
    failed: list[UserError] = []

    def end(run: "Run") -> str:
        client.set_terminated(run.info.run_id, "KILLED", int(time.time() * 1000))
        return f"run {run.info.run_id}  its process has ended; marked as killed"

    def end_all() -> str:
        for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
            process = run.data.tags.get(PROCESS_TAG)
            if process and is_gone(process):
                print(f"{run.info.run_name}  {_attempt(failed, partial(end, run))}", flush=True)
        return ""

    if message := _attempt(failed, end_all):
        print(message, flush=True)
    return failed
