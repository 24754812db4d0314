"""Register the model of a result in MLflow, and let an alias point to it."""

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reprocnn.artifacts.predictions import PREDICTIONS
from reprocnn.artifacts.split import TRAIN
from reprocnn.commands import compare, compare_tables, reproduce, sync
from reprocnn.data.title import title
from reprocnn.errors import UserError
from reprocnn.ledger import looks, record, registry, reports, revisions, store
from reprocnn.ledger.git import show
from reprocnn.ledger.logged_models import CLASSIFIER, LoggedModels
from reprocnn.ledger.mirror import DESCRIPTION_TAG
from reprocnn.ledger.origin import EXPERIMENT_TAG, NO_EXPERIMENT
from reprocnn.ledger.record import MODEL_TAG
from reprocnn.ledger.registry import Registration, Version
from reprocnn.ledger.reports import Reports
from reprocnn.ledger.revisions import LOCK, Result
from reprocnn.run import locks, state

if TYPE_CHECKING:
    from mlflow import MlflowClient

_RUN_ID = re.compile(r"[0-9a-f]{4,32}")
_FORCE = "--force promotes it anyhow"
_SPLITS = ("validation", "test")
_METRICS = ("validation_accuracy", "test_accuracy", "test_accuracy_low", "test_accuracy_high", "test_n")
"""The metrics that become tags of a version."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What to promote a model to.

    Args:
        name: the name of the registered model; None: the name of the data set.
        alias: the alias that is to point to the model.
        force: whether to promote a model that would be refused.
    """

    name: str | None
    alias: str
    force: bool


def promote(names: list[str], best: bool, target: Target) -> None:
    """Register the model of a result as a version of a model in MLflow, and let the alias point to it.

    Of several results, it is the one with the best validation accuracy. It is compared with the version that has the
    alias. A model that is registered already gets no second version. Each step can be repeated.

    Args:
        names: experiments, revisions or MLflow runs; empty: the result in the workspace.
        best: whether HEAD, its experiments and the workspace are meant, instead of names.
        target: what to promote it to.

    Raises:
        UserError: there is no such result, MLflow does not answer, the test data differ from those of the version that
            has the alias, or the model is worse.
    """
    with locks.exclusive(state.promote_lock(), "promotes a model"):
        candidate = _choose(names, best)
        name = target.name or title(candidate.params.get("dataset", ""), candidate.params.get("folder", ""))
        registry.check_name(name, target.alias)
        client, experiment_id = store.connect_or_explain()
        with store.explain_errors():
            known = [version for version in registry.versions(client) if version.name == name]
            champion = next((version for version in known if target.alias in version.aliases), None)
            # The champion first: two checkouts may have registered the same model at the same time.
            ordered = sorted(known, key=lambda version: version != champion)
            same = next((version for version in ordered if _has(client, version, candidate)), None)
        if same and same == champion:
            print(f"{_label(candidate.result)} is models:/{name}@{target.alias} already: version {same.number}")
            return
        refused = _check(client, experiment_id, candidate, champion)
        if refused and not target.force:
            raise refused
        forced = {registry.FORCED_TAG: refused.problem} if refused else {}
        number = _number(client, name, same, forced) or _register(client, experiment_id, name, candidate, forced)
        with store.explain_errors():
            registry.move_alias(client, name, target.alias, number, known)
        _report(name, target.alias, number, champion)


def _choose(names: list[str], best: bool) -> Reports:
    """Read the results and return the one with the best validation accuracy.

    Raises:
        UserError: one does not exist or can't be read, or the chosen one was not evaluated.
    """
    if names and best:
        raise UserError(f"expected names or --best, found both: {' '.join(names)}", "leave out one of them")
    notes: list[str] = []
    if best:
        rows = compare.read_all(record.of_trainings(), notes)
    else:
        rows = [reports.read_reports(_find(name), []) for name in names or [compare.WORKSPACE]]
    for note in notes:
        print(note)
    rows = compare.distinct(rows)
    chosen = max(rows, key=compare.by_validation)
    label, accuracy = _label(chosen.result), chosen.metrics.get("validation_accuracy", 0.0)
    if len(rows) > 1:
        print(f"{label} has the best validation accuracy of {len(rows)} results: {accuracy:.2%}")
    if chosen.result.tested_model_md5 != chosen.result.model_md5:
        problem = f"the test metrics of {label} are of another model: evaluate did not run after train"
        raise UserError(problem, "dvc repro")
    return chosen


def _find(name: str) -> Result:
    """Return the result of an experiment or revision, of an MLflow run, or of the workspace.

    Raises:
        UserError: there is none.
    """
    if name == compare.WORKSPACE:
        return _of_workspace()
    try:
        return revisions.find(name)
    except UserError as error:
        if not _RUN_ID.fullmatch(name):
            raise
        try:
            return _of_run(name)
        except UserError as other:
            raise UserError(f"{error.problem}; {other.problem}", other.fix) from None


def _of_workspace() -> Result:
    """Return the result in the workspace; if it is committed, or was applied, that of the commit or experiment."""
    here = compare.workspace()
    committed = [*revisions.experiments(), revisions.find("HEAD")]
    text = LOCK.read_text(encoding="utf-8").rstrip("\n") if LOCK.exists() else ""
    return next((result for result in reversed(committed) if text and show(result.commit, LOCK) == text), here)


def _of_run(run_id: str) -> Result:
    """Return the result of an MLflow run.

    Raises:
        UserError: there is no such run, or no dvc.lock of this repository has its result.
    """
    run = store.find_run(run_id)
    model = run.data.tags.get(MODEL_TAG)
    here = _of_workspace()
    if LOCK.exists() and here.model_md5 == model:
        return here
    commit, found = reproduce.find_commit(run)
    if found in {"experiment", "result"}:
        return revisions.find(commit)
    problem = f"run {run.info.run_id} ({run.info.run_name}): no {LOCK} of this repository has its model, {model}"
    raise UserError(problem, "commit its result or `dvc exp save` it where it was made, and fetch that")


def _label(result: Result) -> str:
    """Return the name of an experiment, the abbreviated commit of another result, or `workspace`."""
    return result.name if result.origin[EXPERIMENT_TAG] != NO_EXPERIMENT else result.where


def _has(client: "MlflowClient", version: Version, candidate: Reports) -> bool:
    """Return whether a version has the model of a result, evaluated on the same test images, and its files exist."""
    own = {MODEL_TAG: candidate.result.model_md5, registry.TEST_DATA_TAG: candidate.result.test_md5}
    return own.items() <= version.tags.items() and registry.has_files(client, version)


def _check(
    client: "MlflowClient", experiment_id: str, candidate: Reports, champion: Version | None
) -> UserError | None:
    """Compare a result with the version that has the alias, and print how they differ.

    Returns:
        Why the result should not be promoted; None if nothing speaks against it.
    """
    result = candidate.result
    with store.explain_errors():
        earlier = looks.other_models(client, experiment_id, result.test_md5, result.model_md5)
    validation, test = (compare_tables.percent(candidate.metrics.get(f"{split}_accuracy")) for split in _SPLITS)
    noun = "model was" if earlier == 1 else "models were"
    print(f"{_label(result)}: validation accuracy {validation}, test accuracy {test}")
    print(f"earlier looks at these test images: {earlier} other {noun} evaluated on them\n")
    if not champion:
        return None
    try:
        return _compare(client, candidate, champion)
    except UserError as error:  # the predictions of one of them are gone
        return error


def _compare(client: "MlflowClient", candidate: Reports, champion: Version) -> UserError | None:
    """Compare a result with a version on the test images, and print how they differ.

    Returns:
        Why the result should not be promoted; None if nothing speaks against it.
    """
    names = f"version {champion.number}", _label(candidate.result)
    expected, found = champion.tags.get(registry.TEST_DATA_TAG, "unknown"), candidate.result.test_md5
    if expected != found:
        problem = f"{names[1]} was evaluated on other test data than {names[0]}: expected {expected}, found {found}"
        return UserError(problem, f"promote a result on the same test data, or choose another name or alias; {_FORCE}")
    answers = registry.read_answers(client, champion), reports.read_answers(candidate.result)
    pair = compare.pair_of(names, answers)
    if not pair.comparison:
        return pair.refused
    compare_tables.print_sections(compare_tables.pair_sections(pair)[:1])
    low, high = pair.comparison.low, pair.comparison.high
    if high >= 0:
        return None
    problem = (
        f"{names[1]} is worse than {names[0]} on the test images: expected an interval of the difference that reaches "
        f"0, found {low * 100:+.2f} to {high * 100:+.2f} points"
    )
    return UserError(problem, f"promote a better one; {_FORCE}")


def _number(client: "MlflowClient", name: str, same: Version | None, forced: dict[str, str]) -> int | None:
    """Return the number of the version that has the model already, with the tags added; None if there is none."""
    if not same:
        return None
    with store.explain_errors():
        for tag, value in forced.items():
            client.set_model_version_tag(name, str(same.number), tag, value)
    print(f"{name} version {same.number} has this model already: no new version")
    return same.number


def _register(client: "MlflowClient", experiment_id: str, name: str, candidate: Reports, forced: dict[str, str]) -> int:
    """Register the model of a result, and complete its run first; return the number of the version.

    Raises:
        UserError: the run can't be completed, for example because its model is in no cache.
    """
    run_id = sync.complete_run(client, experiment_id, candidate.result)
    with store.explain_errors():
        run = client.get_run(run_id)
        models = LoggedModels(client, run)
        if not models.is_ready(CLASSIFIER):
            problem = f"run {run_id} of {_label(candidate.result)} has no model in ONNX format"
            raise UserError(f"{problem}: it is neither in DVC's cache nor in a remote", "dvc pull, or dvc repro")
        description = run.data.tags.get(DESCRIPTION_TAG, "")
        new = Registration(models.id_of(CLASSIFIER), run_id, _lineage(candidate) | forced, description)
        return registry.register(client, name, new)


def _lineage(candidate: Reports) -> dict[str, str]:
    """Return the tags that say where a version comes from: result, commit, experiment, data and metrics."""
    result = candidate.result
    origin = {tag: value for tag, value in result.origin.items() if not tag.startswith("mlflow.")}
    hashes = {
        MODEL_TAG: result.model_md5,
        registry.TRAINING_DATA_TAG: result.train_deps.get(TRAIN.as_posix(), ""),
        registry.TEST_DATA_TAG: result.test_md5,
        registry.PREDICTIONS_TAG: result.hashes.get(PREDICTIONS.as_posix(), ""),
    }
    metrics = {name: str(candidate.metrics[name]) for name in _METRICS if name in candidate.metrics}
    named = {f"{registry.METRIC_PREFIX}{name}": value for name, value in metrics.items()}
    commit = {registry.RESULT_TAG: result.commit} if result.commit else {}
    return {registry.NAME_TAG: _label(result), **origin, **commit, **hashes, **named}


def _report(name: str, alias: str, number: int, champion: Version | None) -> None:
    before = f"; before: version {champion.number}" if champion else ""
    uri = f"models:/{name}@{alias}"
    print(f"{uri} is version {number} now{before}")
    print(f"  predict  python -m reprocnn predict IMAGE --model {shlex.quote(uri)}")
    print(f"  list     {registry.REGISTRY_COMMAND}")
