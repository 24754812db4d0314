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
        print(f"the changes that are not committed are left out: this is {result.name} ({result.where})", flush=True)
    with tempfile.TemporaryDirectory(prefix="reprocnn-verify-") as folder:
        clone = revisions.clone(result.commit, Path(folder) / "clone")
        _run(clone)
        made = revisions.lock_of("", clone)
        differ = list(_compare(committed, made))
        print(f"\n{_accuracies(result.commit, clone)}")
        if not differ:
            print(f"{result.name} ({result.where}) is repeated: every out is equal, byte for byte")
            return
        print(f"differing: {', '.join(differ)}\nlikely, because:")
        for reason in _reasons(committed, made, result.commit, clone):
            print(f"  - {reason}")
    sys.exit(1)


def _run(clone: Path) -> None:
    """Run every stage in the clone, with a cache, checkpoints and an MLflow store of its own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--no-run-cache"]
    if status := subprocess.run(command, cwd=clone, env=own).returncode:
        raise UserError(f"the pipeline failed in the clone, with status {status}", "see its lines above")


def _outs(stage: dict[str, Any]) -> dict[str, str]:
    return {out["path"]: out["md5"] for out in stage.get("outs", [])}


def _compare(committed: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """Print one line per output; yield the outputs that differ."""
    print(f"\n{'stage':11} {'out':29} {'committed':13} here")
    for stage, definition in made.items():
        expected = _outs(committed.get(stage, {}))
        for out, found in _outs(definition).items():
            wanted = expected.get(out, _ABSENT)
            print(f"{stage:11} {out:29} {wanted[:12]:13} {'equal' if wanted == found else found[:12] + ' differs'}")
            if wanted != found:
                yield out


def _accuracies(commit: str, clone: Path) -> str:
    before = show(commit, METRICS)
    committed = f"{json.loads(before)['accuracy']:.2%}" if before else "not committed"
    return f"test accuracy: {committed} committed, {read_json(clone / METRICS)['accuracy']:.2%} here"


def _reasons(committed: dict[str, Any], made: dict[str, Any], commit: str, clone: Path) -> Iterator[str]:
    """Yield possible reasons for the difference, most likely first."""
    found = [*_inputs(committed, made), *_machines(committed, commit, clone)]
    yield from found or ["nothing that is known: inputs, machine and versions are the same; please report it"]


def _inputs(committed: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """Yield the dependencies and params that differ from those in dvc.lock."""
    outs = {out for stage in made.values() for out in _outs(stage)}
    for stage, definition in made.items():
        then = committed.get(stage, {})
        known = {dep["path"]: dep["md5"] for dep in then.get("deps", [])}
        params = list(_params(stage, then, definition))
        for dep in definition.get("deps", []):
            # With another model, its file is a dep that the lock does not have.
            if dep["path"] in outs or known.get(dep["path"], params and dep["md5"]) == dep["md5"]:
                continue
            code = dep["path"].startswith(("src/", "stages/"))
            older = f"dvc.lock is older than the code: {dep['path']} changed after {stage} ran"
            yield older if code else f"{dep['path']} is not what it was"
        yield from params


def _params(stage: str, then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield the params that differ from those that a stage ran with."""
    for key, value in now.get("params", {}).get("params.yaml", {}).items():
        before = then.get("params", {}).get("params.yaml", {}).get(key, _ABSENT)
        if before != value:
            yield f"dvc.lock is older than params.yaml: {stage} ran with {key}: {before}, now {value}"


def _machines(committed: dict[str, Any], commit: str, clone: Path) -> Iterator[str]:
    """Yield the differences between this machine and its versions and those that made the commit."""
    model = _outs(committed["train"]).get(MODEL.as_posix(), "")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ENVIRONMENT
        file.parent.mkdir()
        file.write_text(show(commit, ENVIRONMENT) or "{}")
        then = identity.read_environment(Path(folder), model)
    now = {name: value for name, value in read_json(clone / ENVIRONMENT).items() if name != identity.MODEL_MD5}
    if not then:
        yield f"no record of the machine that made it ({ENVIRONMENT} is missing or of another model)"
        return
    for name in now:
        if then.get(name) != now[name]:
            yield f"{name}: {then.get(name, _ABSENT)} there, {now[name]} here"
