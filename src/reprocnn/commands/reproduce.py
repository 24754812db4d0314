"""Check out the code, params and data that made an MLflow run."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from reprocnn.errors import UserError
from reprocnn.ledger import record, revisions, store
from reprocnn.ledger.git import git, show
from reprocnn.ledger.masking import masked
from reprocnn.ledger.mirror import CHANGES, NEW_FILES
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG
from reprocnn.ledger.record import MODEL_TAG
from reprocnn.params import PARAMS


def reproduce(run_id: str, folder: str | None) -> None:
    """Check out what made an MLflow run, and print the commands that repeat it.

    Args:
        run_id: the ID of the run, or its first characters.
        folder: the folder to check out to; None: a new temporary folder.

    Raises:
        UserError: there is no such run, its commit is not in this repository, or its changes do not apply.
    """
    run = _run(run_id)
    commit, found = _commit(run)
    target = Path(folder or tempfile.mkdtemp(prefix="reprocnn-")).resolve()
    project = revisions.clone(commit, target)
    warnings = _apply_changes(run, target) if found == "changes" else []
    model = run.data.tags.get(MODEL_TAG)
    print(f"run {run.info.run_id} ({run.info.run_name}): {_WORDS[found].format(commit=commit[:7])}")
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"it is checked out in {target}; to repeat it:\n  cd {project}\n  dvc repro --force")
    if model:
        print(f"models/model.keras then has the md5 {model} on the same kind of machine; to check:\n  dvc status")
    if found != "changes":
        print(f"or, to run it in a clone and compare each out:\n  python -m reprocnn verify {commit}")


_WORDS = {
    "experiment": "a DVC experiment, commit {commit}",
    "result": "its model is in dvc.lock of commit {commit}",
    "clean": "made by commit {commit}, nothing changed",
    "changes": "made by commit {commit} with changes that were not committed, which are applied",
}


def _run(run_id: str) -> Any:
    client, experiment_id = store.connect_or_explain()
    with store.explain_errors():
        found = [run for run in store.all_runs(client, experiment_id) if run.info.run_id.startswith(run_id)]
    if len(found) != 1:
        raise UserError(
            f"{len(found)} runs of {masked(store.tracking_uri())} have an id that begins with {run_id!r}",
            "`python -m reprocnn runs` or `make ui` shows the ids",
        )
    return found[0]


def _commit(run: Any) -> tuple[str, str]:
    """Find the commit that made a run; return it and how it was found, a key of `_WORDS`."""
    tags = run.data.tags
    for experiment in revisions.experiments():
        same = all(experiment.origin[tag] == tags.get(tag) for tag in (EXPERIMENT_TAG, BASELINE_TAG))
        if same and _has_params(experiment.commit, run.data.params):  # `exp run --force` may have replaced it
            return experiment.commit, "experiment"
    if model := tags.get(MODEL_TAG):
        for commit in git("log", "--all", f"-S{model}", "--format=%H", "--", "dvc.lock").splitlines():
            if model in show(commit, revisions.LOCK) and _has_params(commit, run.data.params):
                return commit, "result"
    commit = git("rev-parse", "--verify", "--quiet", f"{tags.get('git.commit', 'none')}^{{commit}}")
    if not commit:
        raise UserError(
            f"the commit of run {run.info.run_id}, {tags.get('git.commit', 'none')}, is not in this repository",
            f"git fetch, or dvc exp pull origin {tags.get(EXPERIMENT_TAG, 'NAME')}, from where it was made",
        )
    return commit, "clean" if tags.get("git.dirty") == "false" else "changes"


def _has_params(commit: str, params: dict[str, str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / PARAMS).write_text(show(commit, PARAMS))
        return record.agree(params, record.params_of(Path(folder)))


def _apply_changes(run: Any, folder: Path) -> list[str]:
    """Apply the uncommitted changes of a run; return warnings about what can't be restored."""
    diff = _artifact(run, CHANGES)
    if diff is None:
        return [f"the run has no {CHANGES}; its params are: {run.data.params}"]
    new_files = json.loads(_artifact(run, NEW_FILES) or "[]")
    warnings = [f"of a new file that was not committed, only the name is known: {name}" for name in new_files]
    if "***" in diff:
        warnings.append("what looked like a secret was masked in the changes")
    if diff.strip():
        command = ["git", "-C", str(folder), "apply", "--whitespace=nowarn", "-"]
        done = subprocess.run(command, input=diff.rstrip("\n") + "\n", text=True, capture_output=True)
        if done.returncode:
            raise UserError(
                f"what was not committed does not apply in {folder}: {done.stderr.strip()}",
                f"apply {CHANGES} of run {run.info.run_id} by hand",
            )
    return warnings


def _artifact(run: Any, name: str) -> str | None:
    """Return the text of an artifact; None if the run has no artifact of that name."""
    client, _ = store.connect_or_explain()
    with store.explain_errors():
        if not any(file.path == name for file in client.list_artifacts(run.info.run_id)):
            return None
        return Path(client.download_artifacts(run.info.run_id, name)).read_text()
