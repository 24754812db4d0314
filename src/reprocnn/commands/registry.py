"""List the versions of registered models, and where each comes from."""

import json
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from reprocnn.commands.compare_tables import Section, empty_table, percent, print_sections
from reprocnn.errors import UserError
from reprocnn.ledger import registry, store
from reprocnn.ledger.origin import EXPERIMENT_TAG, NO_EXPERIMENT
from reprocnn.ledger.registry import Version
from reprocnn.masking import masked


def print_versions(name: str | None, as_json: bool) -> None:
    """Print the versions of a registered model, or of all, newest first.

    Args:
        name: the name of the registered model; None: all.
        as_json: whether to print JSON.

    Raises:
        UserError: MLflow does not answer, or no registered model has the name.
    """
    with store.explain_errors():
        known = registry.versions(store.reader())
    found = [version for version in known if name in {None, version.name}]
    if name and not found:
        names = ", ".join(dict.fromkeys(version.name for version in known)) or "none"
        problem = f"MLflow at {masked(store.tracking_uri())} has no registered model {name!r}; it has: {names}"
        raise UserError(problem, f"name one of these, or register one: {registry.PROMOTE_COMMAND}")
    if as_json:
        print(json.dumps([_as_json(version) for version in found], indent=2, ensure_ascii=False))
    elif found:
        print_sections([Section(f"Registered models in {masked(store.tracking_uri())}", _table(found), _notes(found))])
    else:
        print(f"no registered models in {masked(store.tracking_uri())}; {registry.PROMOTE_COMMAND} registers one")


def _table(found: list[Version]) -> Table:
    columns = ["model", "version", "alias", "registered", "result", "commit"]
    table = empty_table(columns, ["validation", "test", "95 % interval", "images"])
    for version in found:
        registered = datetime.fromtimestamp(version.created).strftime("%Y-%m-%d %H:%M")
        origin = (version.tags.get(registry.NAME_TAG, "-"), _commit(version))
        aliases = ", ".join(version.aliases) or "-"
        table.add_row(version.name, str(version.number), aliases, registered, *origin, *_metrics(version.metrics))
    return table


def _commit(version: Version) -> str:
    """Return the abbreviated commit that a version comes from, of an experiment its baseline."""
    commit = version.tags.get("git.commit", "-")[:7]
    return f"{commit} and changes" if version.tags.get("git.dirty") == "true" else commit


def _metrics(metrics: dict[str, float]) -> list[str]:
    """Format the accuracies of a version, the interval of the test accuracy, and the number of test images."""
    accuracies = [percent(metrics.get(f"{split}_accuracy")) for split in ("validation", "test")]
    low, high = (metrics.get(f"test_accuracy_{end}") for end in ("low", "high"))
    interval = "-" if low is None or high is None else f"{low:.2%} to {high:.2%}"
    n = metrics.get("test_n")
    return [*accuracies, interval, "-" if n is None else f"{n:.0f}"]


def _notes(found: list[Version]) -> list[str]:
    """Return what else a reader should know: which versions were forced."""
    forced = [(version, version.tags[registry.FORCED_TAG]) for version in found if registry.FORCED_TAG in version.tags]
    return [f"{version.label} was promoted with --force: {reason}" for version, reason in forced]


def _as_json(version: Version) -> dict[str, Any]:
    """Return a version as values that JSON can represent; null for what its tags don't say."""
    experiment = version.tags.get(EXPERIMENT_TAG, NO_EXPERIMENT)
    return {
        "name": version.name,
        "version": version.number,
        "aliases": list(version.aliases),
        "registered": datetime.fromtimestamp(version.created, UTC).isoformat(timespec="seconds"),
        "result": version.tags.get(registry.NAME_TAG),
        "experiment": None if experiment == NO_EXPERIMENT else experiment,
        "commit": version.tags.get("git.commit"),
        "forced": version.tags.get(registry.FORCED_TAG),
        "metrics": version.metrics,
        "run_id": version.run_id or None,
        "tags": version.tags,
    }
