"""Check the checkout: Git, params.yaml, DVC's outputs and queue, and leftover checkpoints."""

import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from reprocnn.artifacts.split import RAW_TRAIN
from reprocnn.commands.doctor.findings import Finding, first_line, format_size, run_dvc
from reprocnn.data.title import title
from reprocnn.errors import UserError
from reprocnn.ledger import revisions
from reprocnn.ledger.git import abandoned_branch, git, recovery_command
from reprocnn.ledger.origin import run_name
from reprocnn.params import DownloadParams, Params, load_params, read_params
from reprocnn.run import checkpoints, locks, state

_COMMIT = "git add -A && git commit -m start"
_RWLOCK = Path(".dvc/tmp/rwlock")
_ABSENT = {"deleted", "not in cache"}
"""The states in `dvc status` of a missing file; every other state is a change."""


def check_git() -> Iterator[Finding]:
    """Check that the checkout is in a Git repository with a commit, which DVC needs, and that HEAD is on a branch."""
    if not shutil.which("git"):
        yield Finding("wrong", "git", "git is not installed", "install it, for example `apt install git`")
        return
    plain = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, env=plain)
    if done.returncode and "not a git repository" not in done.stderr:  # for example if another user owns the folder
        own = re.search(r"git config .+", done.stderr)
        yield Finding("wrong", "git", first_line(done.stderr), own[0] if own else "see what `git status` says")
    elif done.returncode:
        fix = f"git init && {_COMMIT}\ngit clone the project instead of copying or downloading its files"
        yield Finding("wrong", "git", f"{Path.cwd()} is not a Git repository, and DVC needs one", fix)
    elif not git("rev-parse", "--verify", "--quiet", "HEAD"):
        yield Finding("wrong", "git", "there is no commit, and DVC needs one", _COMMIT)
    elif not git("ls-files", "dvc.yaml"):
        text = f"the Git repository {done.stdout.strip()} does not track {Path.cwd()}, and DVC needs that"
        yield Finding("wrong", "git", text, f"{_COMMIT}  # in that repository\ngit init && {_COMMIT}  # in its own")
    elif branch := abandoned_branch():
        text = f"a killed `dvc exp run` left HEAD detached from branch {branch}; a commit now would be on no branch"
        yield Finding("wrong", "git", text, recovery_command(branch))
    elif (lock := Path(git("rev-parse", "--git-path", "index.lock"))).exists():
        text = f"{lock} exists: a git or dvc is running, or was killed while it wrote Git's index"
        yield Finding("wrong", "git", text, f"rm {lock}  # if no git and no dvc runs")
    else:
        changed = len(git("status", "--porcelain", "--", ".").splitlines())
        yield Finding("ok", "git", run_name() + (f"; uncommitted files: {changed}" if changed else ""))


def check_params() -> Iterator[Finding]:
    """Check that params.yaml is valid, and that DVC can read the folder of images."""
    params = load_params(Params)
    if wrong := next(_undecodable(Path(params.folder)), b""):
        text = f"folder: the name {str(wrong)[1:]} is not UTF-8, and DVC fails on it (`surrogates not allowed`)"
        fix = "rename it, or all such names: convmv -r -f latin1 -t utf8 --notest FOLDER"
        yield Finding("wrong", "params.yaml", text, fix)
    elif Path(params.folder).exists():
        data = title(params.dataset, params.folder)
        yield Finding("ok", "params.yaml", f"{params.model} on {data}, epochs: {params.epochs}")
    else:
        text = f"folder: {params.folder} does not exist, and DVC needs it for every data set"
        yield Finding("wrong", "params.yaml", text, f"set `folder: {DownloadParams().folder}`, or create it")


def _undecodable(folder: Path) -> Iterator[bytes]:
    """Yield the paths in a folder that are not valid UTF-8."""
    for root, folders, files in os.walk(os.fsencode(folder)):
        for name in (*folders, *files):
            try:
                name.decode()
            except UnicodeDecodeError:
                yield root + b"/" + name


def check_pipeline() -> Iterator[Finding]:
    """Check that the outputs are up to date with code, data and params.yaml, or that a stage is running."""
    if absent := [name for name in (".dvc", "dvc.yaml", "dvc.lock") if not Path(name).exists()]:
        fix = f"git checkout HEAD -- {absent[0]}" + ("\ndvc repro  # creates it" if absent == ["dvc.lock"] else "")
        yield Finding("wrong", "dvc.lock", f"there is no {absent[0]} in {Path.cwd()}", fix)
    elif number := locks.holder(state.STAGE_LOCK):
        yield _running_stage(number)
    elif _is_incomplete(_RWLOCK):
        text = f"DVC can't read {_RWLOCK}: it was killed while it wrote the file"
        yield Finding("wrong", "dvc.lock", text, f"rm {_RWLOCK}  # if no dvc runs")
    else:
        yield _dvc_status()


def _is_incomplete(file: Path) -> bool:
    """Return whether a JSON file exists but is not valid."""
    try:
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def _running_stage(number: str) -> Finding:
    """Report a running stage. A stage exits when its dvc process dies; one that did not hangs and has to be killed."""
    process = psutil.Process(int(number)) if number.isdigit() else None
    commands = [Path(word).name for parent in process.parents() for word in parent.cmdline()] if process else []
    if process is None or "dvc" in commands:
        return Finding("note", "dvc.lock", f"a stage is running (process {number}); run doctor again after its end")
    text = f"a stage is running without a dvc process (process {number})"
    return Finding("wrong", "dvc.lock", text, f"kill {number}")


def _dvc_status() -> Finding:
    try:
        read_params(revisions.LOCK)
        status = json.loads(run_dvc("status", "--json"))
    except UserError as error:  # for example the marks of a merge conflict, or dvc was killed while it wrote the file
        if str(revisions.LOCK) not in error.problem:
            raise
        return Finding("wrong", "dvc.lock", error.problem, f"git checkout HEAD -- {revisions.LOCK} && dvc repro")
    changes = {stage: set(_states(changed)) for stage, changed in status.items()}
    if not changes:
        return Finding("ok", "dvc.lock", "up to date with code, data and params.yaml")
    if all(states <= _ABSENT for states in changes.values()) and not RAW_TRAIN.exists():
        return Finding("note", "dvc.lock", "the pipeline has not run here yet", "dvc repro")
    text = f"not up to date: {', '.join(changes)}"
    return Finding("wrong", "dvc.lock", text, "dvc repro  # `dvc status` shows what changed")


def _states(found: Any) -> Iterator[str]:
    """Yield the state of each file and param in the nested output of `dvc status`."""
    if isinstance(found, str):
        yield found
    else:
        for value in found.values() if isinstance(found, dict) else found:
            yield from _states(value)


def check_queue() -> Iterator[Finding]:
    """Check that queued experiments have a worker."""
    if not Path(".dvc/tmp/exps/celery").is_dir():  # asking DVC takes seconds
        yield Finding("ok", "queue", "not used yet")
        return
    try:
        status = run_dvc("queue", "status")
    except UserError as error:
        yield Finding("note", "queue", f"unknown: {error.problem}")
        return
    tasks = re.findall(r"^[0-9a-f]{7} +(\S+) .* (\w+) *$", status, re.MULTILINE)
    active, idle = map(int, re.findall(r"(\d+) (?:active|idle)", status)[-2:])
    counts = Counter(state.lower() for _, state in tasks)
    text = f"{', '.join(f'{n} {state}' for state, n in counts.items()) or 'empty'}; workers: {active + idle}"
    # A new worker does not resume the tasks that another one left running.
    left = " ".join(name for name, state in tasks if state == "Running" and not active)
    fixes = [f"dvc queue kill {left}"] if left else []
    fixes += ["dvc queue start"] if counts["queued"] and not active + idle else []
    fix = " && ".join(fixes) + (f"  # then queue {left} again" if left else "")
    yield Finding("wrong" if fixes else "ok", "queue", text, fix)


def check_checkpoints() -> Iterator[Finding]:
    """Check for checkpoints of interrupted trainings."""
    left = checkpoints.leftover_folders()
    if not left:
        yield Finding("ok", "checkpoints", "none left")
        return
    files = [file for folder in left for file in folder.rglob("*") if file.is_file()]
    age = _format_age(time.time() - max(folder.stat().st_mtime for folder in left))
    size = format_size(sum(file.stat().st_size for file in files))
    text = f"{len(left)} from interrupted trainings, {size}, {age} old"
    folders = " ".join(folder.relative_to(state.repository()).as_posix() for folder in left)
    fix = f"repeat the same `dvc repro` or `dvc exp run`: it resumes from the checkpoint\nrm -r {folders}"
    yield Finding("note", "checkpoints", text, fix)


def _format_age(seconds: float) -> str:
    unit, name = next(((u, n) for u, n in ((86_400, "days"), (3_600, "hours")) if seconds >= 2 * u), (60, "minutes"))
    return f"{seconds / unit:.0f} {name}"
