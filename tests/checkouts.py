"""Checkouts of the working tree, in which tests run commands as a user types them."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import filelock

ROOT = Path(__file__).resolve().parents[1]
_LINKED = ("/.git/objects/", "/.dvc/cache/")
"""Folders whose files never change once written, so that copies of a checkout may share them by hard links."""
_LOCATIONS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))
"""The columns of the MLflow store that hold absolute paths."""


class Checkout:
    """A folder with the project and a Git repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> "Checkout":
        """Copy the working tree and commit it."""
        command = ["git", "ls-files", "-co", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in listed.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        checkout = cls(folder)
        checkout.run("git", "init", "-q", "-b", "main")
        checkout.set_user()
        checkout.commit("start")
        return checkout

    def copy(self, folder: Path) -> "Checkout":
        """Copy the whole checkout, with its MLflow store and caches; `folder` must not exist."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=_link_or_copy)
        store = folder / "mlflow.db"
        if store.exists():
            with closing(sqlite3.connect(store)) as connection, connection:
                for table, column in _LOCATIONS:
                    change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                    connection.execute(change, (str(self.folder), str(folder)))
        return Checkout(folder)

    def clone(self, folder: Path) -> "Checkout":
        """Clone it with Git, as a colleague does."""
        self.run("git", "clone", "-q", str(self.folder), str(folder))
        clone = Checkout(folder)
        clone.set_user()
        return clone

    def set_user(self) -> None:
        """Give Git a name and an address, so that it commits."""
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "test")

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the environment of a user's command."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"
        return own | {"PATH": path, "DVC_SITE_CACHE_DIR": f"{tempfile.gettempdir()}/dvc"}

    def run(self, *command: str, fails: bool | None = False, **environment: str) -> str:
        """Run a command; return what it printed.

        Args:
            command: the command with its arguments.
            fails: True: it must fail; None: it may.
            environment: variables to set beside those of `environment()`.
        """
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment() | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert fails is None or (done.returncode != 0) is fails, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def reprocnn(self, *command: str, fails: bool | None = False) -> str:
        """Run a command of `python -m reprocnn` with the checkout's own code."""
        return self.run("python", "-m", "reprocnn", *command, fails=fails, PYTHONPATH=str(self.folder / "src"))

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", message)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file; it has to be there."""
        text = (self.folder / name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        (self.folder / name).write_text(text.replace(old, new))

    def restore(self) -> None:
        """Bring the committed params and result back into the workspace, as the troubleshooting page says."""
        self.run("git", "checkout", "HEAD", "--", "params.yaml", "dvc.lock", "reports")
        self.run("dvc", "checkout")

    def wait_for_queue(self, successes: int) -> None:
        """Wait until no experiment is queued or running; all must have succeeded."""
        while re.search("Queued|Running", status := self.run("dvc", "queue", "status")):
            time.sleep(0.5)
        assert status.count("Success") == successes, status

    def runs(self) -> list[dict[str, Any]]:
        """Return the MLflow runs in the checkout's store, the newest first."""
        code = (
            "import json; from reprocnn.ledger import store; c, e = store.connect()\n"
            "print('@' + json.dumps([dict(id=r.info.run_id, name=r.info.run_name, status=r.info.status,"
            " metrics=r.data.metrics, params=r.data.params, tags=r.data.tags, uri=r.info.artifact_uri,"
            " epochs=[m.step for m in c.get_metric_history(r.info.run_id, 'train_loss')],"
            " files=[f.path for f in c.list_artifacts(r.info.run_id)])"
            " for r in c.search_runs([e])]))"
        )
        printed = self.run("python", "-c", code, PYTHONPATH=str(self.folder / "src"))
        runs: list[dict[str, Any]] = json.loads(printed.split("@", 1)[1])
        return runs


def stages_run(printed: str) -> list[str]:
    """Return the stages that dvc says it ran."""
    return re.findall(r"Running stage '(\w+)'", printed)


def build_once(folder: Path, build: Callable[[Checkout], None]) -> Checkout:
    """Return the checkout in a folder that all workers share; the first that asks for it builds it."""
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            made = Checkout.create(unfinished)
            build(made)
            made.copy(folder)
    return Checkout(folder)


def _link_or_copy(source: str, target: str) -> None:
    if any(folder in source for folder in _LINKED):
        os.link(source, target)
    else:
        shutil.copy2(source, target)
