"""Shared fixtures: a checkout of the working tree, a folder with params.yaml, generated images."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirrors import Mirror
from reprocnn.ledger import store

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the user's settings, and DVC's variables in case the tests themselves run in a stage."""
    for name in list(os.environ):
        if name.startswith(("DVC_", "MLFLOW_", "REPROCNN_")):
            monkeypatch.delenv(name)
    for name, value in store.DEFAULTS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide a working directory with the project's params.yaml and a .dvc folder, which marks a checkout."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def environment_changes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of environment variables that other threads than the main one set or remove."""
    changed: list[str] = []

    def recorded(function: Callable[..., None]) -> Callable[..., None]:
        def change(name: bytes, *value: bytes) -> None:
            if threading.current_thread() is not threading.main_thread():
                changed.append(os.fsdecode(name))
            function(name, *value)

        return change

    for name in ("putenv", "unsetenv"):  # what `os.environ` calls
        monkeypatch.setattr(os, name, recorded(getattr(os, name)))
    return changed


@pytest.fixture
def make_images() -> Callable[..., None]:
    """Provide a function that writes n PNG images per class, each class in one shade with noise."""

    def make(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), n: int = 6, size: int = 12) -> None:
        random = np.random.default_rng(0)
        for number, name in enumerate(classes):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for i in range(n):
                pixels = random.integers(0, 60, (size, size + i, 3)) + 60 * (number % 3)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")

    return make


@pytest.fixture
def mirror() -> Iterator[str]:
    Mirror.asked, Mirror.released = [], threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    Mirror.released.set()
    server.shutdown()
    server.server_close()


class Checkout:
    """A copy of the working tree with its own Git repository, in which commands run as a user would type them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = self._list_files()
        for name in listed:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
        self.run("git", "init", "-q", "-b", "main")
        self.set_user()
        self.commit("start")

    @classmethod
    def of(cls, folder: Path) -> "Checkout":
        """Return the checkout in an existing folder."""
        checkout = cls.__new__(cls)
        checkout.folder = folder
        return checkout

    def set_user(self) -> None:
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "test")

    @staticmethod
    def _list_files() -> list[str]:
        command = ["git", "ls-files", "-co", "--exclude-standard"]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the environment of a command that a user would type."""
        own = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "MLFLOW_"))}
        return own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}"}

    def run(self, *command: str, fails: bool | None = False, **environment: str) -> str:
        """Run a command and return its output.

        Args:
            *command: the command and its arguments.
            fails: whether the command must fail; None: it may.
            **environment: additional environment variables.
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
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", message)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text in a file; fail if the file does not contain it."""
        text = (self.folder / name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        (self.folder / name).write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def make_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Checkout]:
    """Provide a function that creates a checkout."""
    return lambda: Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def checkout(make_checkout: Callable[[], Checkout]) -> Checkout:
    """Provide a checkout with the committed result of a short pipeline; the tests of a module share it in order."""
    made = make_checkout()
    made.edit("params.yaml", "model: deep_cnn", "model: mlp")
    made.edit("params.yaml", "epochs: 10", "epochs: 1")
    made.run("dvc", "repro")
    made.commit("short run")
    return made


def ran(printed: str) -> list[str]:
    """Return the stages that dvc ran, from its output."""
    return re.findall(r"Running stage '(\w+)'", printed)


def runs_of(checkout: Checkout) -> list[dict[str, object]]:
    """Return the MLflow runs in the store of a checkout."""
    code = (
        "import json; from reprocnn.ledger import store; c, e = store.connect()\n"
        "print('@' + json.dumps([dict(id=r.info.run_id, name=r.info.run_name, status=r.info.status,"
        " metrics=r.data.metrics, params=r.data.params, tags=r.data.tags, uri=r.info.artifact_uri,"
        " epochs=[m.step for m in c.get_metric_history(r.info.run_id, 'train_loss')],"
        " files=[f.path for f in c.list_artifacts(r.info.run_id)])"
        " for r in c.search_runs([e])]))"
    )
    printed = checkout.run("python", "-c", code, PYTHONPATH=str(checkout.folder / "src"))
    runs: list[dict[str, object]] = json.loads(printed.split("@", 1)[1])
    return runs


OUTCOMES: list[tuple[str, int, str]] = []
"""One row per test of faults: the fault, how often it was injected, what happened."""


class Faults:
    """The number of faults to inject, and a table of the outcomes.

    Args:
        many: whether the option `--chaos` was given.
    """

    def __init__(self, many: bool) -> None:
        self._many = many
        self.random = random.Random()  # not seeded: each run tries other moments; a failure names its moment

    def times(self, few: int, many: int) -> int:
        """Return `many` with `--chaos`, else `few`."""
        return many if self._many else few

    def sample(self, moments: Sequence[int], few: int, many: int) -> list[int]:
        """Return `few` random moments, or `many` with `--chaos`."""
        return self.random.sample(moments, self.times(few, many))

    def record(self, fault: str, times: int, outcome: str) -> None:
        """Add a row to the table that is printed at the end."""
        OUTCOMES.append((fault, times, outcome))


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Faults:
    return Faults(request.config.getoption("--chaos"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="inject many faults instead of a few (about 30 minutes)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if OUTCOMES:
        terminalreporter.write_line("\n| fault | times | what happened |\n|---|---|---|")
        for fault, times, outcome in OUTCOMES:
            terminalreporter.write_line(f"| {fault} | {times} | {outcome} |")
