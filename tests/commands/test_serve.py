"""The command `serve` as far as it goes without its packages; tests/serving/ has the server."""

import tomllib
from pathlib import Path

import pytest

from checkouts import ROOT, Checkout
from reprocnn import cli
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.commands import serve
from reprocnn.ledger import revisions
from servers import PNG, png, serving


def test_without_its_packages_the_error_says_how_to_install_them(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["serve"]
    assert sorted(serve._PACKAGES.values()) == sorted(line.partition(">=")[0] for line in extra)
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "prometheus_client" else name)
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve"])
    assert str(ended.value.code) == (
        "error: serve needs packages that are not installed: prometheus-client\n  fix: make setup EXTRA=--extra=serve"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "expected a port, 0 to 65535, found '70000'"),
        (["--max-bytes", "0"], "expected a whole number of at least 1, found '0'"),
        (["--watch", "0"], "expected a number above 0, found '0'"),
        (["--model", "a", "--rev", "b"], "not allowed with argument"),
    ],
)
def test_wrong_settings_are_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["serve", *arguments])
    assert message in capsys.readouterr().err


def test_the_experiment_of_a_model_is_found_by_its_content(finished: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)
    two = revisions.find("two").hashes[ONNX_MODEL.as_posix()]
    assert revisions.experiment_with(two) == "two"
    assert revisions.experiment_with(md5(ONNX_MODEL)) is None  # of the commit, which is no experiment
    assert revisions.experiment_with("0" * 32) is None


@pytest.mark.serve
@pytest.mark.parametrize(("arguments", "experiment"), [([], None), (["--rev", "two"], "two")])
def test_an_answer_names_the_experiment_of_the_model(
    finished: Checkout, arguments: list[str], experiment: str | None
) -> None:
    with serving(finished.folder, *arguments) as server:
        said = server.post("/predict", png(), PNG).json
    server.log.unlink()
    assert said["model"]["experiment"] == experiment
