"""Make MLflow match DVC: every result has a run, and every run that ended has its final status."""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from reprocnn.artifacts.figures import FIGURES
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.scores import METRICS
from reprocnn.artifacts.training import TRAINING
from reprocnn.errors import UserError
from reprocnn.ledger import record, revisions, store
from reprocnn.ledger.masking import masked
from reprocnn.ledger.mirror import Mirror, find, find_renamed
from reprocnn.ledger.origin import experiment_of
from reprocnn.ledger.record import PROCESS_TAG, Record
from reprocnn.ledger.revisions import Result
from reprocnn.run import checkpoints, journal, locks, state
from reprocnn.run.identity import is_gone

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def sync(names: list[str]) -> None:
    """Add to MLflow what is missing of the named results, or of the workspace and every experiment.

    Exits with status 1 if one of them fails.

    Args:
        names: experiments or revisions; empty: the workspace and every experiment.

    Raises:
        UserError: there is no such experiment, or MLflow does not answer.
    """
    with locks.exclusive(state.sync_lock(), "makes MLflow match DVC"):
        client, experiment_id = store.connect_or_explain()
        failed = _each(client, experiment_id, _results(names), _completed)
        if not names:
            failed += _end_journals(client, experiment_id) + _end_runs(client, experiment_id)
    _end(failed)


def make_absent() -> None:
    """Create the missing runs of experiments, and complete the run of the workspace; report failures and continue.

    DVC restores a repeated experiment from its run cache without starting a stage, so no stage creates its run. If
    nothing is missing this is quick: experiments that have a run are not read.

    Raises:
        UserError: MLflow does not answer.
    """
    with locks.exclusive(state.sync_lock(), "makes MLflow match DVC"):
        client, experiment_id = store.connect_or_explain()
        with store.explain_errors():
            known = {experiment_of(run.data.tags) for run in store.all_runs(client, experiment_id)}
        absent = [e for e in revisions.experiments() if experiment_of(e.origin) not in known]
        here = [revisions.workspace()] if revisions.LOCK.exists() else []
        _each(client, experiment_id, [*absent, *here], _completed)


def runs(names: list[str]) -> None:
    """Print the MLflow run of each result, and what is missing from the run.

    Exits with status 1 if one of them fails.

    Args:
        names: experiments or revisions; empty: the workspace and every experiment.

    Raises:
        UserError: there is no such experiment, or MLflow does not answer.
    """
    client, experiment_id = store.connect_or_explain()
    failed = _each(client, experiment_id, _results(names), _state)
    print("`python -m reprocnn sync` adds what is missing; `python -m reprocnn reproduce RUN` goes the other way")
    _end(failed)


def _end(failed: list[UserError]) -> None:
    """Exit with status 1 if something failed, after printing each fix once."""
    if failed:
        for fix in dict.fromkeys(error.fix for error in failed):
            print(f"  fix: {fix}")
        print(f"failed: {len(failed)}; the others are done")
        sys.exit(1)


def _completed(mirror: Mirror, made: Record) -> str:
    added = mirror.complete(made)
    said = f"added {', '.join(added)}" if added else "whole"
    return f"run {mirror.run_id}  {said}"


def _state(mirror: Mirror, made: Record) -> str:
    if not mirror.run_id:
        return "no run"
    lacks = [name for name, _ in mirror.missing(made)]
    said = f"lacks {', '.join(lacks)}" if lacks else "whole"
    return f"run {mirror.run_id}  {said}"


def _results(names: list[str]) -> list[Result]:
    if names:
        return [revisions.find(name) for name in names]
    # The workspace last: if it holds an applied experiment, both share the run of that experiment.
    return [*revisions.experiments(), revisions.workspace()]


def _each(
    client: "MlflowClient", experiment_id: str, results: list[Result], act: Callable[[Mirror, Record], str]
) -> list[UserError]:
    """Apply `act` to the run and the record of each result, and print what it returns; return the errors."""
    width = max((len(result.name) for result in results), default=0)
    failed: list[UserError] = []
    for number, result in enumerate(results, start=1):
        try:
            with result.files() as folder:
                made = _record(result, folder)
                said = _tried(failed, partial(_on_run, client, experiment_id, act, made))
        except UserError as error:
            said = f"skipped: {error.problem}"
        except Exception as error:  # a remote of DVC's that can't be read: the others go on
            failed.append(UserError(masked(" ".join(str(error).split())), "python -m reprocnn doctor"))
            said = f"failed: {failed[-1].problem}"
        print(f"[{number}/{len(results)}] {result.name:{width}}  {result.where:9}  {said}", flush=True)
    return failed


def _on_run(client: "MlflowClient", experiment_id: str, act: Callable[[Mirror, Record], str], made: Record) -> str:
    run = find(client, experiment_id, made)
    run = run or find_renamed(client, experiment_id, made, {experiment_of(e.origin) for e in revisions.experiments()})
    return act(Mirror(client, experiment_id, run), made)


def _tried(failed: list[UserError], act: Callable[[], str]) -> str:
    """Return what `act` returns. If MLflow fails, add the error to `failed` and return a message with the cause."""
    try:
        with store.explain_errors():
            return act()
    except UserError as error:
        failed.append(error)
        return f"failed: {error.problem}"


def _record(result: Result, folder: Path) -> Record:
    if not all(result.has(folder, out) for out in (HISTORY, TRAINING)):
        raise UserError("its training is not finished, or its files are not those of dvc.lock", "dvc repro")
    if not (folder / MODEL_CARD).exists():
        raise UserError("its model is neither in DVC's cache nor in a remote", "dvc pull, or dvc repro")
    stages = [s for s, out in (("evaluate", METRICS), ("plot", FIGURES)) if result.has(folder, out)]
    made = record.of_folder(folder, result.name, result.origin, result.model_md5, tuple(stages))
    made.hashes = made.hashes or result.train_deps
    made.changes = made.changes or result.changes
    if made.model and not result.has(folder, MODEL):
        made.model = None
    return made


def _end_journals(client: "MlflowClient", experiment_id: str) -> list[UserError]:
    """Finish the runs of trainings that were killed, or whose end did not reach the tracker; return the errors."""
    failed: list[UserError] = []
    for made in record.of_trainings():
        ended = made if made.status != "RUNNING" else _ended(made)
        if not ended or (ended.name == record.UNKNOWN and not ended.epochs):  # killed as it began
            continue
        if said := _tried(failed, partial(_end_training, client, experiment_id, ended)):
            print(f"{ended.name}  {ended.status.lower()}  {said}", flush=True)
    return failed


def _ended(made: Record) -> Record | None:
    """Mark a training as killed if no process trains; return its record, or None while one does."""
    with checkpoints.try_lock(made.key) as unused:
        now = record.of_training(made.training)  # it may have ended meanwhile
        if not unused or not now:
            return None
        if now.status == "RUNNING":
            now.status = "KILLED"
            now.ended = max((times.ended for times in now.times.values()), default=now.started)
            journal.append(now.training, "end", at=now.ended, status=now.status)
        return now


def _end_training(client: "MlflowClient", experiment_id: str, made: Record) -> str:
    # Search by the ID of the training only: a run of another experiment may have the same model.
    run = find(client, experiment_id, replace(made, model_md5=""))
    if made.run_id and not run:
        return ""  # somebody deleted it
    mirror = Mirror(client, experiment_id, run)
    added = mirror.complete(made)
    return f"run {mirror.run_id}  added {', '.join(added)}" if added else ""


def _end_runs(client: "MlflowClient", experiment_id: str) -> list[UserError]:
    """Finish running runs without a journal whose process, on this host, has died; return the errors."""
    failed: list[UserError] = []

    def end(run: "Run") -> str:
        client.set_terminated(run.info.run_id, "KILLED", int(time.time() * 1000))
        return f"run {run.info.run_id}  was left running; marked as killed"

    def end_all() -> str:
        for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
            process = run.data.tags.get(PROCESS_TAG)
            if process and is_gone(process):
                print(f"{run.info.run_name}  {_tried(failed, partial(end, run))}", flush=True)
        return ""

    if said := _tried(failed, end_all):
        print(said, flush=True)
    return failed
