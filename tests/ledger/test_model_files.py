"""The model of a revision that only a DVC remote may have."""

import subprocess
from pathlib import Path

import pytest
from dvc.api import DVCFileSystem
from ruamel.yaml import YAML

from reprocnn import cli
from reprocnn.artifacts.model import MODEL, ONNX_MODEL

STAGES = {"train": [MODEL, ONNX_MODEL], "evaluate": [Path("metrics")], "plot": [Path("figures")]}


@pytest.fixture
def committed(here: Path) -> Path:
    """A Git and DVC repository with a commit whose outputs are neither in the cache nor in a remote."""
    outs = {name: [path.as_posix() for path in paths] for name, paths in STAGES.items()}
    lock = {
        name: {"cmd": "make", "outs": [{"path": path, "hash": "md5", "md5": "0" * 32, "size": 1} for path in paths]}
        for name, paths in outs.items()
    }
    dvc = {name: {"cmd": "make", "outs": paths} for name, paths in outs.items()}
    YAML().dump({"schema": "2.0", "stages": lock}, here / "dvc.lock")
    YAML().dump({"stages": dvc}, here / "dvc.yaml")
    user = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*user, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], check=True)
    return here


def _set_remote(url: str) -> None:
    Path(".dvc").mkdir(exist_ok=True)
    Path(".dvc/config").write_text(f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {url}\n")


def test_a_remote_whose_package_is_not_installed(committed: Path) -> None:
    _set_remote("gs://bucket/storage")
    with pytest.raises(SystemExit, match=r"'dvc-gs' to be installed.*\n  fix: `pip install` the package") as ended:
        cli.main(["predict", "picture.png", "--rev", "HEAD"])
    assert str(ended.value).startswith("error: DVC can't get models/model.onnx of HEAD from its remote: gs is")


def test_a_file_that_is_neither_in_the_cache_nor_in_the_remote(committed: Path) -> None:
    _set_remote(str(committed / "storage"))
    with pytest.raises(SystemExit, match=r"model\.onnx of HEAD is neither in DVC's cache nor in a remote\n  fix: run"):
        cli.main(["predict", "picture.png", "--rev", "HEAD"])


@pytest.mark.parametrize(
    ("config", "problem"),
    [("[core]\n    remote = other\n", "other"), ("[core]\n    unknown = 1\n", "extra keys not allowed")],
)
def test_a_configuration_that_dvc_refuses(committed: Path, config: str, problem: str) -> None:
    _set_remote("/storage")
    Path(".dvc/config").write_text(config)
    with pytest.raises(SystemExit, match=rf"DVC can't get .*{problem}.*\n  fix: .*`dvc fetch`"):
        cli.main(["predict", "picture.png", "--rev", "HEAD"])


def test_any_error_of_a_remote(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of remote raises exceptions of its own, for example for missing credentials."""

    def fail(*_: object) -> None:
        raise type("NoCredentialsError", (Exception,), {})("Unable to locate credentials")

    _set_remote("/storage")
    monkeypatch.setattr(DVCFileSystem, "get_file", fail)
    with pytest.raises(SystemExit, match=r"from its remote: Unable .* \(NoCredentialsError\)\n  fix: .*`dvc fetch`"):
        cli.main(["predict", "picture.png", "--rev", "HEAD"])
