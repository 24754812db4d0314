"""Describe a run in Markdown, for its page in the MLflow UI."""

from contextlib import suppress

from reprocnn.artifacts.files import read_json
from reprocnn.artifacts.training import TRAINING
from reprocnn.errors import UserError
from reprocnn.ledger.origin import NO_EXPERIMENT, experiment_of
from reprocnn.ledger.record import TEST_PREFIX, Record, params_at


def describe(record: Record, run_id: str, tags: dict[str, str], metrics: dict[str, float]) -> str:
    """Return what a finished run is, in Markdown: model and data set, accuracy, origin, and how to repeat it.

    Args:
        record: the record of the run.
        run_id: the ID of the run.
        tags: the tags of the run.
        metrics: the metrics of the run.
    """
    start = f"**{record.params.get('model', 'a model')}** on **{record.dataset}**"
    lines = [f"{start}: {_accuracy(record, metrics)}", "", *_origin(record, tags), ""]
    return "\n".join([*lines, "To repeat it:", "", "```sh", *_commands(run_id, tags), "```"])


def _accuracy(record: Record, metrics: dict[str, float]) -> str:
    """Return the test accuracy with its interval; before evaluate, the validation accuracy."""
    names = ("accuracy", "accuracy_low", "accuracy_high", "n")
    found = [metrics[TEST_PREFIX + name] for name in names if TEST_PREFIX + name in metrics]
    if len(found) == len(names):
        accuracy, low, high, n = found
        return f"test accuracy **{accuracy:.2%}** (95 % interval {low:.2%} to {high:.2%}, {n:.0f} images)"
    validation = read_json(record.files[TRAINING.name])["validation_accuracy"]
    return f"validation accuracy **{validation:.2%}**, not evaluated on the test images yet"


def _origin(record: Record, tags: dict[str, str]) -> list[str]:
    """Return list items: experiment and commit, and the params that differ from those of the commit."""
    name, commit = experiment_of(tags)[0], tags.get("git.commit", "none")
    if commit == "none":
        return ["- not in a Git repository"]
    if name != NO_EXPERIMENT:  # DVC commits the changes of an experiment
        lines = [f"- experiment `{name}`, based on commit `{commit[:7]}`"]
    else:
        dirty = " with uncommitted changes" if tags.get("git.dirty") == "true" else ""
        lines = [f"- commit `{commit[:7]}`{dirty}"]
    with suppress(UserError):  # params.yaml of that commit is not YAML
        before = params_at(commit)
        changed = {key: (before[key], now) for key, now in record.params.items() if before.get(key, now) != now}
        shown = ", ".join(f"`{key}` {old} → {now}" for key, (old, now) in changed.items())
        lines += [f"- parameters changed since that commit: {shown}"] if changed else []
    return lines


def _commands(run_id: str, tags: dict[str, str]) -> list[str]:
    """Return the commands that bring the result back or make it again."""
    name = experiment_of(tags)[0]
    reproduce = f"python -m reprocnn reproduce {run_id}  # check out its code, params and data in another folder"
    if name == NO_EXPERIMENT:
        return [reproduce]
    return [
        f"dvc exp apply {name}  # bring its result into the workspace",
        reproduce,
        f"python -m reprocnn verify {name}  # run it again in a clone and compare each output",
    ]
