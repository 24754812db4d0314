"""Run the pipeline of a commit again, and compare its outputs with the committed ones."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reprocnn.artifacts.files import read_json
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.scores import METRICS
from reprocnn.errors import UserError
from reprocnn.ledger import revisions
from reprocnn.ledger.git import git, show
from reprocnn.run import identity
from reprocnn.run.identity import ENVIRONMENT

_ABSENT = "-"


def verify(revision: str) -> None:
    """Run the pipeline of a commit or experiment in a clone, compare each output, and print why outputs may differ.

    Exits with status 1 if an output differs.

    Raises:
        UserError: there is no such revision, its dvc.lock is incomplete, or its pipeline fails.
    """
    result = revisions.find(revision)
    committed = revisions.lock_of(result.commit)
    if git("status", "--porcelain", "--untracked-files=no", "--", "."):
        print(f"uncommitted changes are ignored: this verifies {result.name} ({result.where})", flush=True)
    with tempfile.TemporaryDirectory(prefix="reprocnn-verify-") as folder:
        clone = revisions.clone(result.commit, Path(folder) / "clone")
        _run_pipeline(clone)
        made = revisions.lock_of("", clone)
        differ = list(_print_comparison(committed, made))
        print(f"\n{_accuracies(result.commit, clone)}")
        if not differ:
            print(f"{result.name} ({result.where}) is reproduced: every output is equal, byte for byte")
            return
        print(f"differing: {', '.join(differ)}\nlikely reasons:")
        for reason in _reasons(committed, made, result.commit, clone):
            print(f"  - {reason}")
    sys.exit(1)


def _run_pipeline(clone: Path) -> None:
    """Run every stage in the clone, with a cache, checkpoints and an MLflow store of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--no-run-cache"]
    if status := subprocess.run(command, cwd=clone, env=own).returncode:
        raise UserError(f"the pipeline failed in the clone, with status {status}", "see its output above")


def _hashes(stage: dict[str, Any]) -> dict[str, str]:
    """Return the md5 of each output of a stage in dvc.lock, path -> md5."""
    return {out["path"]: out["md5"] for out in stage.get("outs", [])}


def _print_comparison(committed: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """Yield the paths of the outputs that differ, and print one line per output on the way."""
    print(f"\n{'stage':11} {'output':29} {'committed':13} here")
    for stage, definition in made.items():
        expected = _hashes(committed.get(stage, {}))
        for out, found in _hashes(definition).items():
            wanted = expected.get(out, _ABSENT)
            print(f"{stage:11} {out:29} {wanted[:12]:13} {'equal' if wanted == found else found[:12] + ' differs'}")
            if wanted != found:
                yield out


def _accuracies(commit: str, clone: Path) -> str:
    """Format the test accuracies of the commit and of the clone."""
    before = show(commit, METRICS)
    committed = f"{json.loads(before)['accuracy']:.2%}" if before else "not committed"
    return f"test accuracy: {committed} committed, {read_json(clone / METRICS)['accuracy']:.2%} here"


def _reasons(committed: dict[str, Any], made: dict[str, Any], commit: str, clone: Path) -> Iterator[str]:
    """Yield possible reasons for the difference, most likely first."""
    found = [*_changed_inputs(committed, made), *_machine_differences(committed, commit, clone)]
    yield from found or ["none found: inputs, machine and versions are the same; please report it"]


def _changed_inputs(committed: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """Yield the dependencies, other than outputs, and the params that differ from those in dvc.lock."""
    outs = {out for stage in made.values() for out in _hashes(stage)}
    for stage, definition in made.items():
        then = committed.get(stage, {})
        known = {dep["path"]: dep["md5"] for dep in then.get("deps", [])}
        params = list(_changed_params(stage, then, definition))
        for dep in definition.get("deps", []):
            # If params differ, ignore deps that dvc.lock lacks: the file of another model is one.
            if dep["path"] in outs or known.get(dep["path"], params and dep["md5"]) == dep["md5"]:
                continue
            code = dep["path"].startswith(("src/", "stages/"))
            older = f"dvc.lock is older than the code: {dep['path']} changed after {stage} ran"
            yield older if code else f"{dep['path']} has changed"
        yield from params


def _changed_params(stage: str, then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield the params of a stage that differ from those in dvc.lock."""
    for key, value in now.get("params", {}).get("params.yaml", {}).items():
        before = then.get("params", {}).get("params.yaml", {}).get(key, _ABSENT)
        if before != value:
            yield f"dvc.lock is older than params.yaml: {stage} ran with {key}: {before}, now {value}"


def _machine_differences(committed: dict[str, Any], commit: str, clone: Path) -> Iterator[str]:
    """Yield what differs between this machine, with its versions, and the one that made the commit."""
    model = _hashes(committed["train"]).get(MODEL.as_posix(), "")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ENVIRONMENT
        file.parent.mkdir()
        file.write_text(show(commit, ENVIRONMENT) or "{}")
        then = identity.read_environment(Path(folder), model)
    now = {name: value for name, value in read_json(clone / ENVIRONMENT).items() if name != identity.MODEL_MD5}
    if not then:
        yield f"the machine that made it is unknown ({ENVIRONMENT} is missing or describes another model)"
        return
    for name in now:
        if then.get(name) != now[name]:
            yield f"{name}: {then.get(name, _ABSENT)} there, {now[name]} here"
