"""Shared fixtures: a checkout of the working tree, a folder with params.yaml, generated images."""

import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from checkouts import ROOT, Checkout, build_once
from mirrors import Mirror
from reprocnn.ledger import store

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What libraries leave behind in the folder for temporary files goes away with the folders of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Remove the user's settings, and DVC's variables in case the tests themselves run in a stage."""
    for name in list(os.environ):
        if name.startswith(("DVC_", "MLFLOW_", "REPROCNN_")):
            monkeypatch.delenv(name)
    for name, value in store.DEFAULTS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REPROCNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("reprocnn.run.downloads.READING", tmp_path_factory.mktemp("reading"))


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


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program, "no chromium found; on Debian and Ubuntu: apt install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def problems() -> list[str]:
    """What the page wrote to the console, and what it asked the network for."""
    return []


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of this test session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def make_checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Checkout]:
    """Makes checkouts of the working tree in which nothing ran."""
    return lambda: Checkout.create(tmp_path_factory.mktemp("checkout"))


def _run_pipeline(checkout: Checkout) -> None:
    checkout.edit("params.yaml", "model: deep_cnn", "model: mlp")
    checkout.edit("params.yaml", "epochs: 10", "epochs: 1")
    checkout.run("dvc", "repro")
    checkout.commit("short run")
    checkout.run("dvc", "exp", "run", "-n", "two", "-S", "epochs=2", "-S", "learning_rate=2e-3")
    checkout.restore()


@pytest.fixture(scope="session")
def finished(shared: Path) -> Checkout:
    """A checkout in which a short pipeline ran and was committed, and then the experiment `two`; not to be changed."""
    return build_once(shared / "finished", _run_pipeline)


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of it, to be changed."""
    return finished.copy(tmp_path / "checkout")


@pytest.fixture(scope="session")
def schema(shared: Path) -> Path:
    """An MLflow store without runs: MLflow takes seconds to create one."""
    file = shared / "empty-mlflow.db"
    with FileLock(f"{file}.lock"):
        store._prepare_sqlite(file)
    return file


@pytest.fixture
def empty_store(schema: Path, here: Path) -> None:
    """Puts that store into the folder."""
    shutil.copy(schema, here / store.FILE)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move a test that needs `finished` to the front and the others to the end.

    One process makes it meanwhile, for a minute or two, and no other has to wait for it.
    """
    items.sort(key=lambda item: "finished" in getattr(item, "fixturenames", ()))
    if items:
        items.insert(0, items.pop())


OUTCOMES: list[tuple[str, int, str]] = []
"""One row per test of faults: the fault, how often it was injected, what happened."""


class Faults:
    """The number of faults to inject, and a table of the outcomes.

    Args:
        many: whether `--chaos` was given.
        seed: of the moments; pytest-randomly draws another one each time and prints it.
    """

    def __init__(self, many: bool, seed: int) -> None:
        self._many = many
        self.random = random.Random(seed)

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
    return Faults(request.config.getoption("--chaos"), request.config.getoption("randomly_seed"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="inject many faults, not a few (some 20 minutes)")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if OUTCOMES:
        terminalreporter.write_line("\n| fault | times | what happened |\n|---|---|---|")
        for fault, times, outcome in OUTCOMES:
            terminalreporter.write_line(f"| {fault} | {times} | {outcome} |")
