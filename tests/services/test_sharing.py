"""A colleague gets a result and an experiment through a DVC remote, as docs/team.md says, and nothing runs again."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from checkouts import Checkout, stages_run
from daemons import BUCKET, SECRETS, Ssh, Store, free_port
from reprocnn.artifacts.files import md5

pytestmark = pytest.mark.service
FILES = ("models/model.keras", "models/model.onnx", "reports/predictions.csv", "data/raw/train/images.npy")
REPEAT = ("dvc", "exp", "run", "-S", "epochs=2", "-S", "learning_rate=2e-3")
"""The command that made the experiment `two`."""


class Way:
    """A kind of remote.

    Args:
        url: of the remote.
        settings: of the remote, with --local, because they are secrets or differ from user to user.
        home: the home folder of a user, without settings.
    """

    def __init__(self, url: str, settings: dict[str, str], home: Path) -> None:
        self.url, self.settings, self.home = url, settings, home


def _folder(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    return Way(str(tmp_path / "shared"), {}, tmp_path)


def _ssh(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    server: Ssh = request.getfixturevalue("ssh")
    url = f"ssh://127.0.0.1:{server.port}{tmp_path / 'on-the-server'}"
    return Way(url, {"keyfile": str(server.key)}, tmp_path)


def _s3(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    store: Store = request.getfixturevalue("store")
    keys = {"access_key_id": SECRETS["S3_ACCESS_KEY"], "secret_access_key": SECRETS["S3_SECRET_KEY"]}
    return Way(f"s3://{BUCKET}/dvc", {"endpointurl": store.url} | keys, tmp_path)


@pytest.fixture(params=[_folder, _ssh, _s3], ids=["folder", "ssh", "s3"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    return request.param(request, tmp_path)


class Member(Checkout):
    """A checkout of a member of the team."""

    def __init__(self, folder: Path, way: Way) -> None:
        super().__init__(folder)
        self.way = way

    def run(self, *command: str, fails: bool | None = False, **environment: str) -> str:
        return super().run(*command, fails=fails, HOME=str(self.way.home), **environment)

    def log_in(self) -> None:
        """Give DVC what no commit should have."""
        for name, value in self.way.settings.items():
            self.run("dvc", "remote", "modify", "--local", "team", name, value)

    def make_run(self, *, fails: bool = False) -> str:
        """Type `make run`, with the packages of the tests."""
        (self.folder / ".venv").unlink(missing_ok=True)
        (self.folder / ".venv").symlink_to(Path(sys.prefix))
        return self.run("make", "-o", "setup", "run", fails=fails)


@pytest.fixture(scope="module")
def expected(finished: Checkout) -> dict[str, Any]:
    """The MLflow run of the experiment `two`, logged while it ran."""
    (run,) = (run for run in finished.runs() if run["name"] == "two")
    return run


@pytest.fixture
def ana(checkout: Checkout, way: Way, tmp_path: Path) -> Member:
    """Who set up the remote, then made an experiment, and pushes both."""
    made = Member(checkout.folder, way)
    made.run("git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "origin"))
    made.run("git", "remote", "add", "origin", str(tmp_path / "origin"))
    made.run("dvc", "remote", "add", "-d", "team", way.url)
    made.log_in()
    made.commit("a remote")
    made.run("git", "push", "-q", "origin", "main")
    made.run("dvc", "push")
    assert stages_run(made.run(*REPEAT, "-n", "three")) == []  # as `two`, from the run cache
    made.run("dvc", "exp", "push", "origin", "three")
    return made


@pytest.fixture
def ben(ana: Member, way: Way, tmp_path: Path) -> Member:
    """A colleague with a fresh clone."""
    ana.run("git", "clone", "-q", str(tmp_path / "origin"), str(tmp_path / "ben"))
    clone = Member(tmp_path / "ben", way)
    clone.set_user()
    clone.log_in()
    return clone


def test_a_clone_pulls_what_is_known_and_an_experiment_arrives_whole(
    finished: Checkout, ana: Member, ben: Member, expected: dict[str, Any]
) -> None:
    printed = ben.make_run()
    assert stages_run(printed) == []
    assert "mlp on digits: test accuracy" in printed
    for name in FILES:
        assert md5(ben.folder / name) == md5(finished.folder / name)
    assert ben.run("git", "status", "--porcelain", "--untracked-files=no") == ""
    committed = ben.run("git", "log", "-p", "--all", "--", ".dvc")
    assert ana.way.url in committed
    assert not [value for value in ana.way.settings.values() if value in committed]

    ben.run("dvc", "exp", "pull", "origin", "three")
    ben.reprocnn("sync", "--rev", "three")
    (run,) = ben.runs()
    assert (run["name"], run["status"], run["epochs"]) == ("three", "FINISHED", expected["epochs"])
    assert run["params"] == expected["params"]
    assert set(run["files"]) == set(expected["files"])
    ben.run("dvc", "exp", "apply", "three")
    assert "up to date" in ben.run("dvc", "status")


@pytest.mark.parametrize("way", [_s3, _ssh], ids=["s3", "ssh"], indirect=True)
def test_make_run_stops_where_the_remote_does_not_answer(finished: Checkout, way: Way, tmp_path: Path) -> None:
    """Rather than train again what may be there."""
    clone = Member(finished.clone(tmp_path / "clone").folder, way)
    clone.run("dvc", "remote", "add", "-d", "team", re.sub(r":\d+", f":{free_port()}", way.url))
    clone.log_in()
    if "endpointurl" in way.settings:
        clone.run("dvc", "remote", "modify", "--local", "team", "endpointurl", f"http://127.0.0.1:{free_port()}")
    printed = clone.make_run(fails=True)
    assert "ERROR: " in printed
    assert stages_run(printed) == []
