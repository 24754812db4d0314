"""Check out the code, params and data that made an MLflow run."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from reprocnn.errors import UserError
from reprocnn.ledger import record, revisions, store
from reprocnn.ledger.git import git, show
from reprocnn.ledger.mirror import CHANGES, NEW_FILES
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG
from reprocnn.ledger.record import MODEL_TAG


def reproduce(run_id: str, folder: str | None) -> None:
    """Check out what made an MLflow run, and print the commands that repeat it.

    Args:
        run_id: the ID of the run, or its first characters.
        folder: new or empty folder to check out to; None: a new temporary folder.

    Raises:
        UserError: there is no such run, its commit is not in this repository, or its changes do not apply.
    """
    run = store.find_run(run_id)
    commit, found = find_commit(run)
    target = Path(folder or tempfile.mkdtemp(prefix="reprocnn-")).resolve()
    project = revisions.clone(commit, target)
    warnings = _apply_changes(run, target) if found == "changes" else []
    model = run.data.tags.get(MODEL_TAG)
    print(f"run {run.info.run_id} ({run.info.run_name}): {_DESCRIPTIONS[found].format(commit=commit[:7])}")
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"checked out in {target}; to repeat the run:\n  cd {project}\n  dvc repro --force")
    if model:
        print(f"on the same kind of machine models/model.keras then has the md5 {model}; to check:\n  dvc status")
    if found != "changes":
        print(f"or, to run it in a clone and compare each output:\n  python -m reprocnn verify {commit}")


_DESCRIPTIONS = {
    "experiment": "a DVC experiment, commit {commit}",
    "result": "its model is in the dvc.lock of commit {commit}",
    "clean": "made by commit {commit} without uncommitted changes",
    "changes": "made by commit {commit} with uncommitted changes, which are applied",
}


def find_commit(run: Any) -> tuple[str, str]:
    """Find the commit that made a run; return it and how it was found, a key of `_DESCRIPTIONS`.

    Its dvc.lock has the result of the run if it was found as `experiment` or `result`.

    Raises:
        UserError: it is not in this repository.
    """
    tags = run.data.tags
    for experiment in revisions.experiments():
        same = all(experiment.origin[tag] == tags.get(tag) for tag in (EXPERIMENT_TAG, BASELINE_TAG))
        # `dvc exp run --force` may have replaced the experiment by another of its name.
        if same and _has_same_params(experiment.commit, run.data.params):
            return experiment.commit, "experiment"
    if model := tags.get(MODEL_TAG):
        for commit in git("log", "--all", f"-S{model}", "--format=%H", "--", "dvc.lock").splitlines():
            if model in show(commit, revisions.LOCK) and _has_same_params(commit, run.data.params):
                return commit, "result"
    commit = git("rev-parse", "--verify", "--quiet", f"{tags.get('git.commit', 'none')}^{{commit}}")
    if not commit:
        raise UserError(
            f"the commit of run {run.info.run_id}, {tags.get('git.commit', 'none')}, is not in this repository",
            f"git fetch, or dvc exp pull origin {tags.get(EXPERIMENT_TAG, 'NAME')}",
        )
    return commit, "clean" if tags.get("git.dirty") == "false" else "changes"


def _has_same_params(commit: str, params: dict[str, str]) -> bool:
    """Return whether params.yaml at a commit has the values of a run."""
    return record.agree(params, record.params_at(commit))


def _apply_changes(run: Any, folder: Path) -> list[str]:
    """Apply the uncommitted changes of a run; return warnings about what can't be restored."""
    diff = _read_artifact(run, CHANGES)
    if diff is None:
        return [f"the run has no {CHANGES}; its params are: {run.data.params}"]
    new_files = json.loads(_read_artifact(run, NEW_FILES) or "[]")
    warnings = [f"the content of a new, uncommitted file is not known: {name}" for name in new_files]
    if "***" in diff:
        warnings.append("the changes contain masked secrets")
    if diff.strip():
        command = ["git", "-C", str(folder), "apply", "--whitespace=nowarn", "-"]
        done = subprocess.run(command, input=diff.rstrip("\n") + "\n", text=True, capture_output=True)
        if done.returncode:
            raise UserError(
                f"the uncommitted changes do not apply in {folder}: {done.stderr.strip()}",
                f"apply {CHANGES} of run {run.info.run_id} by hand",
            )
    return warnings


def _read_artifact(run: Any, name: str) -> str | None:
    """Return the text of an artifact; None if the run has no artifact of that name."""
    client, _ = store.connect_or_explain()
    with store.explain_errors():
        if not any(file.path == name for file in client.list_artifacts(run.info.run_id)):
            return None
        return Path(client.download_artifacts(run.info.run_id, name)).read_text()
