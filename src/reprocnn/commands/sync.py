"""Make MLflow match DVC: every result has its run, and every run that ended says so."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from filelock import FileLock

from reprocnn import paths, revisions
from reprocnn.errors import UserError
from reprocnn.revisions import Result
from reprocnn.tracking import facts, record, store
from reprocnn.tracking.mirror import Mirror, find
from reprocnn.tracking.record import PROCESS_TAG, Record


def sync(names: list[str]) -> None:
    """Add to MLflow what it lacks of the workspace and of every experiment, or of those that are named.

    Raises:
        UserError: there is no such experiment, or MLflow does not answer.
    """
    with FileLock(paths.kept("sync.lock")):
        client, experiment_id = _connected()
        for label, mirror, made in _mirrors(client, experiment_id, _results(names)):
            added = mirror.complete(made)
            said = f"added {', '.join(added)}" if added else "whole"
            print(f"{label}  run {mirror.run_id}  {said}", flush=True)
        if not names:
            for line in (*_end_journals(client, experiment_id), *_end_runs(client, experiment_id)):
                print(line, flush=True)


def runs(names: list[str]) -> None:
    """Say which MLflow run each experiment has, and what the run lacks.

    Raises:
        UserError: there is no such experiment, or MLflow does not answer.
    """
    client, experiment_id = _connected()
    for label, mirror, made in _mirrors(client, experiment_id, _results(names)):
        lacks = [name for name, _ in mirror.missing(made)] if mirror.run_id else []
        state = f"lacks {', '.join(lacks)}" if lacks else "whole"
        print(f"{label}  run {mirror.run_id}  {state}" if mirror.run_id else f"{label}  no run", flush=True)
    print("`python -m reprocnn sync` adds what is missing; `python -m reprocnn reproduce RUN` goes the other way")


def _connected() -> tuple[Any, str]:
    try:
        return store.connect()
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            facts.masked(f"MLflow at {store.tracking_uri()} does not answer: {reason}"),
            "start the server, or unset MLFLOW_TRACKING_URI for the store in the checkout",
        ) from None


def _results(names: list[str]) -> list[Result]:
    if names:
        return [revisions.of(name) for name in names]
    return [revisions.workspace(), *revisions.experiments()]


def _mirrors(client: Any, experiment_id: str, results: Iterable[Result]) -> Iterator[tuple[str, Mirror, Record]]:
    """The run of each result, with its record and a label for messages; says where there is no record."""
    found = list(results)
    width = max(len(result.name) for result in found)
    for number, result in enumerate(found, start=1):
        label = f"[{number}/{len(found)}] {result.name:{width}}  {result.where:9}"
        try:
            with result.files() as folder:
                made = _record(result, folder)
                yield label, Mirror(client, experiment_id, find(client, experiment_id, made)), made
        except UserError as error:
            print(f"{label}  skipped: {error.problem}", flush=True)


def _record(result: Result, folder: Any) -> Record:
    if not all(result.has(folder, out) for out in (paths.HISTORY, paths.TRAINING)):
        raise UserError("its training is not finished, or its files are not those of dvc.lock", "dvc repro")
    if not (folder / paths.MODEL_CARD).exists():
        raise UserError("its model is neither in DVC's cache nor in a remote", "dvc pull, or dvc repro")
    stages = [s for s, out in (("evaluate", paths.METRICS), ("plot", paths.FIGURES)) if result.has(folder, out)]
    made = record.of_folder(folder, result.name, result.origin, result.model_md5, tuple(stages))
    made.changes = made.changes or result.changes
    if made.model and not result.has(folder, paths.MODEL):
        made.model = None
    return made


def _end_journals(client: Any, experiment_id: str) -> Iterator[str]:
    """End the runs of trainings that were cut off, or whose end the tracker did not get."""
    for journal in record.read_journals():
        if journal.status == "RUNNING":
            if not facts.is_gone(journal.process):
                continue
            last = max((row["ended"] for row in journal.rows), default=journal.started)
            journal = journal.model_copy(update={"status": "KILLED", "ended": last})
            record.write_journal(journal)
        run = find(client, experiment_id, journal)
        if journal.run_id and not run:
            continue  # somebody deleted it
        mirror = Mirror(client, experiment_id, run)
        if added := mirror.complete(journal):
            yield f"{journal.name}  {journal.status.lower()}  run {mirror.run_id}  added {', '.join(added)}"


def _end_runs(client: Any, experiment_id: str) -> Iterator[str]:
    """End the runs that a process of this host left running, and of which no journal tells."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        process = run.data.tags.get(PROCESS_TAG)
        if process and facts.is_gone(process):
            client.set_terminated(run.info.run_id, "KILLED", int(time.time() * 1000))
            yield f"{run.info.run_name}  run {run.info.run_id}  was left running; marked as killed"
