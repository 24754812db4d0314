"""Query Git about the checkout. The project may be the whole repository or a subfolder of it."""

import os
import re
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reprocnn.errors import UserError

DIFF = ("diff", "--no-ext-diff", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
"""Arguments of a diff that `git apply` takes, independent of the user's configuration."""
GENERATED = (":!reports", ":!dvc.lock", ":!.dvc/tmp")
"""Pathspecs that exclude generated files from a diff."""

_DETACHING = re.compile(r"([0-9a-f]{40,64}) HEAD@\{(\d+)\} checkout: moving from (\S+) to (\S+)")


def git(*arguments: str, **environment: str) -> str:
    """Return the output of a git command; empty if it fails or git is not installed."""
    with suppress(OSError):
        own = os.environ | environment
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, errors="replace", env=own)
        return done.stdout.rstrip("\n") if done.returncode == 0 else ""
    return ""


def show(commit: str, file: Path) -> str:
    """Return the text of a project file at a commit; empty if it does not exist there."""
    return git("show", f"{commit}:./{file.as_posix()}")


@dataclass(frozen=True)
class Changes:
    """The differences from a commit.

    Args:
        diff: a diff of the files that Git tracks, for `git apply`.
        new_files: the names of files that Git neither tracks nor ignores; their content is not kept.
    """

    diff: str = ""
    new_files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.diff or self.new_files)


def uncommitted() -> Changes:
    """Return the changes since the last commit, except those of generated files.

    They are compared by content, with a separate index: after `dvc exp run`, the user's index may wrongly treat
    params.yaml as unchanged if its size and its modification time in seconds are the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", "HEAD", **index)
        changed = git(*DIFF, "HEAD", "--", ".", *GENERATED, **index)
        new = git("ls-files", "--others", "--exclude-standard", "--", ".", *GENERATED, **index)
    return Changes(changed, tuple(new.splitlines()))


def is_tracked(path: str) -> bool:
    """Return whether Git tracks a file, files in a folder, or the .dvc file of the path or of a parent folder.

    False for a path outside of the repository.
    """
    place = Path(os.path.relpath(path))
    files = [f"{folder}.dvc" for folder in (place, *place.parents) if folder.name not in {"", ".."}]
    return bool(git("ls-files", "--", str(place), *files))


def abandoned_branch(since: float = float("inf")) -> str:
    """Return the branch that HEAD was on before a killed `dvc exp run`; empty if DVC did not leave HEAD detached.

    DVC detaches HEAD at the commit of its branch while an experiment runs in the workspace. If DVC is killed, HEAD
    stays detached.

    Args:
        since: Unix time in seconds; ignore a HEAD that was detached later, by the dvc that is running now.
    """
    if git("symbolic-ref", "--quiet", "HEAD"):
        return ""
    entries = git("reflog", "show", "--date=unix", "--format=%H %gd %gs", "HEAD").splitlines()
    for entry, older in zip(entries, [*entries, ""][1:], strict=True):
        if found := _DETACHING.match(entry):
            commit, time, branch, target = found.groups()
            # Git's times are in whole seconds, hence the margin.
            by_dvc = target == commit and older.startswith(commit) and float(time) < since - 1
            known = git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
            return branch if by_dvc and known else ""
    return ""


def recovery_command(branch: str) -> str:
    """Return the command that puts HEAD back on a branch and merges the commits made since."""
    head = git("rev-parse", "HEAD")
    made = git("rev-list", "--max-count=1", f"{branch}..{head}")
    return f"git switch {branch}" + (f" && git merge {head[:10]}" if made else "")


def clone(commit: str, folder: Path) -> Path:
    """Clone the repository of the checkout at a commit; return the folder of the project in the clone.

    Raises:
        UserError: the folder is not empty, or git fails.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", "name a folder that does not exist")
    source = git("rev-parse", "--show-toplevel")
    if git("config", "--get-regexp", r"remote\..*\.promisor"):
        # A partial clone fetches missing files when it reads them; a clone of it could not.
        git("-C", source, "archive", f"--output={os.devnull}", commit)
    for command in (
        # --shared gives access to all objects of this repository, including experiments, which a plain clone omits.
        ["clone", "--quiet", "--shared", "--no-checkout", source, str(folder)],
        # Git ignores --shared if the history is shallow: fetch what the clone omitted.
        ["-C", str(folder), "fetch", "--quiet", "--no-tags", source, commit],
        ["-C", str(folder), "checkout", "--quiet", "--detach", commit],
    ):
        done = subprocess.run(["git", *command], capture_output=True, text=True, errors="replace")
        if done.returncode:
            problem = f"git {' '.join(word for word in command if word != '--quiet')[:60]} ... failed"
            raise UserError(f"{problem}: {done.stderr.strip()}", "fix what git reports")
    return folder / git("rev-parse", "--show-prefix")
