"""A secret that a user puts somewhere is nowhere else afterwards."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from checkouts import ROOT, Checkout
from planted import Planted, Watch

PLACES = (
    *("params.yaml", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY"),
    *("REPROCNN_SERVE_TOKEN", "HTTPS_PROXY", "MLFLOW_TRACKING_URI", "REPROCNN_MIRROR", "query of REPROCNN_MIRROR"),
    *(".dvc/config.local", ".dvc/config", "remote of Git", "API_KEY", "several lines", "private key", "value"),
)


@pytest.fixture
def planted() -> Planted:
    """A secret per place. Some have characters that a URL must encode."""
    return Planted({place: f"{secrets.token_hex(6)}/{secrets.token_hex(6)}" for place in PLACES})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(address: str, server: "subprocess.Popen[Any]") -> None:
    """Wait until a page can be read."""
    deadline = time.monotonic() + 120
    while True:
        assert server.poll() is None
        assert time.monotonic() < deadline
        try:
            urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """Run a real MLflow server; yield its port."""
    folder.mkdir()
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    options = ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "artifacts")]
    own = Checkout.environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([*command, *options], cwd=folder, env=own, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _url(secret: str, port: int, path: str = "") -> str:
    return f"http://me:{quote(secret, safe='')}@127.0.0.1:{port}{path}"


def _environment(secret: dict[str, str], dead: int, port: int) -> dict[str, str]:
    """Return the environment of a user with secrets; MLflow is at `port`, and nothing listens at `dead`."""
    proxy = _url(secret["HTTPS_PROXY"], dead)
    mirror = _url(
        secret["REPROCNN_MIRROR"], dead, f"/mirror?sig={quote(secret['query of REPROCNN_MIRROR'], safe='')}&x="
    )
    names = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "REPROCNN_SERVE_TOKEN")
    return {name: secret[name] for name in names} | {
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_URI": _url(secret["MLFLOW_TRACKING_URI"], port),
        "HTTPS_PROXY": proxy,
        "HTTP_PROXY": proxy,
        "NO_PROXY": "127.0.0.1",
        "REPROCNN_MIRROR": mirror,
    }


def _commit_clean_files(checkout: Checkout, secret: dict[str, str], dead: int) -> None:
    """Commit files to which secrets are added later, and what a user commits with one: a remote of DVC."""
    (checkout.folder / "settings.py").write_text("# my settings\nTIMEOUT = 3\n")
    (checkout.folder / "deploy.env").write_text("# my deployment\n")
    for old, new in {
        "model: deep_cnn": "model: mlp",
        "epochs: 10": "epochs: 1",
        "robustness: true": "robustness: false",
    }.items():
        checkout.edit("params.yaml", old, new)
    checkout.run("dvc", "remote", "add", "-d", "store", _url(secret[".dvc/config"], dead, "/store"))
    checkout.commit("settings")
    checkout.run("dvc", "remote", "modify", "--local", "store", "password", secret[".dvc/config.local"])
    checkout.run("git", "remote", "add", "origin", _url(secret["remote of Git"], dead, "/x.git"))


def _edit_files(checkout: Checkout, secret: dict[str, str]) -> None:
    """Make the uncommitted changes."""
    with (checkout.folder / "params.yaml").open("a") as file:
        file.write(f"# token: {secret['params.yaml']}\n")
    with (checkout.folder / "settings.py").open("a") as file:
        file.write(f'API_KEY = "{secret["API_KEY"]}"\nPASSWORD = (\n    "{secret["several lines"]}"\n)\n')
        file.write(f"PLAIN = '{secret['AWS_SECRET_ACCESS_KEY']}'\n")  # known from the environment
    with (checkout.folder / "deploy.env").open("a") as file:
        file.write(f"-----BEGIN PRIVATE KEY-----\n{secret['private key']}\n-----END PRIVATE KEY-----\nx=1\n")


FILES = {
    "params.yaml": {"params.yaml"},
    "settings.py": {"API_KEY", "several lines", "AWS_SECRET_ACCESS_KEY"},
    "deploy.env": {"private key"},
    ".dvc/config": {".dvc/config"},
    ".dvc/config.local": {".dvc/config.local"},
    ".git/config": {"remote of Git"},
}
"""The files in which users put secrets themselves, and which."""
COMMITTED = {
    "blob # All parameters of the pipeline. Change a value here, or for one experiment:": {"params.yaml"},
    "blob # my settings": FILES["settings.py"],
    "blob # my deployment": FILES["deploy.env"],
    "blob [core]": {".dvc/config"},
}
"""The first lines of these files: `dvc exp run` commits them."""


DOWN = (
    ("doctor",),
    ("runs",),
    ("sync",),
    ("promote",),
    ("registry",),
    ("ui",),
    ("predict", "x.png", "--model", "models:/digits@champion"),
    ("serve", "--model", "models:/digits@champion"),
)
"""Commands that fail while the server is down."""
UP = (("doctor",), ("runs",), ("sync",), ("compare",), ("summary",), ("promote", "offline"), ("registry",), ("ui",))


class Session:
    """A user's commands in a checkout.

    Args:
        checkout: the checkout.
        environment: variables with secrets.
    """

    def __init__(self, checkout: Checkout, environment: dict[str, str]) -> None:
        self._checkout = checkout
        self._environment = environment | {"PYTHONPATH": str(checkout.folder / "src")}
        self.printed: dict[str, str] = {}

    def run(self, *command: str, fails: bool | None = False, **changes: str) -> str:
        """Run a command; remember and return what it printed."""
        text = self._checkout.run(*command, fails=fails, **self._environment | changes)
        self.printed[f"{len(self.printed)} {' '.join(command)}"] = text
        return text

    def reprocnn(self, *command: str, fails: bool | None = False, **changes: str) -> str:
        """Run a command of the project."""
        return self.run("python", "-m", "reprocnn", *command, fails=fails, **changes)


def _found(planted: Planted, texts: dict[str, str]) -> dict[str, set[str]]:
    """Return the texts with secrets, name -> places."""
    return {name: places for name, text in texts.items() if (places := planted.within(text.encode()))}


def _check_that_the_search_finds(watch: Watch, checkout: Checkout, folder: Path) -> None:
    """Check that the search reads what it has to: what is no secret is found where it must be."""
    assert [command for command in watch.commands if "stages/train.py" in command]
    marks = Planted({"experiment": "seed: 7   ", "change": "-----BEGIN PRIVATE KEY-----", "name": "offline"})
    assert "blob # All parameters of the pipeline. Change a value here, or for one experiment:" in marks.in_git(
        checkout.folder
    )
    found = marks.in_files(folder / "server")
    assert "name" in found["m.db"]
    assert [name for name, places in found.items() if name.endswith("uncommitted.diff") and "change" in places]
    assert [name for name in marks.in_files(checkout.folder) if name.startswith(".dvc/tmp/reprocnn/journals/")]


def _work(user: Session, checkout: Checkout, folder: Path, down: dict[str, str]) -> None:
    """Run the pipeline and the commands, with the server and without it."""
    user.run("dvc", "repro")
    user.run("dvc", "exp", "run", "-n", "offline", "-S", "seed=7", **down)
    user.run("dvc", "exp", "run", "-S", "dataset=mnist", fails=True)
    checkout.edit("params.yaml", "dataset: mnist", "dataset: digits")
    for command in DOWN:
        user.reprocnn(*command, fails=True, **down)
    for arguments in UP:
        user.reprocnn(*arguments, fails=None)
    for number, run_id in enumerate(re.findall(r"run (\w{32})", user.reprocnn("runs"))):
        user.reprocnn("reproduce", run_id, "--folder", str(folder / f"reproduced-{number}"))
    user.reprocnn("verify", "offline")


@pytest.mark.slow
def test_secrets_are_nowhere_but_where_the_user_put_them(
    make_checkout: Callable[[], Checkout], planted: Planted, tmp_path: Path
) -> None:
    secret, dead, checkout = planted.secrets, _free_port(), make_checkout()
    _commit_clean_files(checkout, secret, dead)
    with Watch() as watch, _server(tmp_path / "server") as port:
        user = Session(checkout, _environment(secret, dead, port))
        _edit_files(checkout, secret)
        _work(user, checkout, tmp_path, {"MLFLOW_TRACKING_URI": _url(secret["MLFLOW_TRACKING_URI"], dead)})
    assert _found(planted, user.printed) == {}
    assert _found(planted, {command: command for command in watch.commands}) == {}
    assert planted.in_git(checkout.folder) == COMMITTED
    assert planted.in_files(checkout.folder) == FILES
    elsewhere = planted.in_files(tmp_path) | planted.in_files(Path(os.environ["TMPDIR"]))
    copies = {Path(name).name for name in FILES}  # of what is committed, in the folders of `reproduce`
    assert {name: places for name, places in elsewhere.items() if Path(name).name not in copies} == {}
    _check_that_the_search_finds(watch, checkout, tmp_path)


@pytest.mark.slow
def test_the_processes_of_the_ui_show_no_secret_in_the_address_of_the_store(here: Path, planted: Planted) -> None:
    token = quote(planted.secrets["MLFLOW_TRACKING_URI"], safe="")
    own = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    own["MLFLOW_TRACKING_URI"] = f"sqlite:///file:{here}/m.db?uri=true&token={token}"
    command = [sys.executable, "-m", "reprocnn", "ui", "--port", "0"]
    with Watch() as watch:
        process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            assert process.stdout
            line = process.stdout.readline()
            address = re.search(r"http://127.0.0.1:(\d+)", line)
            assert address, line
            _wait_for(f"{address[0]}/health", process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            process.stdout.close()  # type: ignore[union-attr]
    assert [words for words in watch.commands if f"mlflow ui --port {address[1]}" in words]
    assert "token=***" in line
    assert _found(planted, {words: words for words in (line, *watch.commands)}) == {}
