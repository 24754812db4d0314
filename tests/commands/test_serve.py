"""The command `serve` as far as it goes without its packages; tests/serving/ has the server."""

import json
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from checkouts import ROOT, Checkout
from reprocnn import cli
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.commands import serve
from reprocnn.errors import UserError
from reprocnn.ledger import revisions, store
from reprocnn.ledger.git import git
from servers import PNG, png, serving
from tiny_model import COLOURS, write_tiny_model


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


def test_a_model_of_the_commit_is_of_no_experiment_that_repeats_it(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.folder)
    head = git("rev-parse", "HEAD")
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/again", head)
    assert "again" in {experiment.name for experiment in revisions.experiments()}
    assert revisions.experiment_with(md5(ONNX_MODEL)) is None


@pytest.mark.serve
@pytest.mark.parametrize(("arguments", "experiment"), [([], None), (["--rev", "two"], "two")])
def test_an_answer_names_the_experiment_of_the_model(
    finished: Checkout, arguments: list[str], experiment: str | None
) -> None:
    with serving(finished.folder, *arguments) as server:
        said = server.post("/predict", png(), PNG).json
    server.log.unlink()
    assert said["model"]["experiment"] == experiment


@pytest.fixture
def registered(here: Path, empty_store: None) -> None:
    """Register two versions of a model, of which the second calls red pictures green; the alias has the first."""
    client = store.connect()[0]
    client.create_registered_model("colours")
    swapped = {**COLOURS, "red": COLOURS["green"], "green": COLOURS["red"]}
    for number, colours in (("1", COLOURS), ("2", swapped)):
        write_tiny_model(here / number / "model.onnx", colours)
        client.create_model_version("colours", (here / number).as_uri(), tags={"dvc.exp.name": f"exp{number}"})
    client.set_registered_model_alias("colours", "champion", "1")


@pytest.mark.serve
def test_a_moved_alias_swaps_the_model_and_no_request_fails(here: Path, registered: None) -> None:
    with serving(here, "--model", "models:/colours@champion", "--watch", "0.1") as server:
        end = time.monotonic() + 60

        def ask_until_swapped(_: int) -> set[tuple[object, ...]]:
            found: set[tuple[object, ...]] = set()
            while not any("colours/2" in answer for answer in found) and time.monotonic() < end:
                said = server.post("/predict", png(), PNG)
                model, (answer,) = said.json["model"], said.json["answers"]
                found.add((said.status, model["registry_version"], model["experiment"], answer["class"]))
                if len(found) == 1:
                    asked.append(1)
            return found

        asked: list[int] = []
        with ThreadPoolExecutor(4) as clients:
            answers = clients.map(ask_until_swapped, range(4))
            while len(asked) < 20 and time.monotonic() < end:  # the old model answers under load
                time.sleep(0.01)
            store.connect()[0].set_registered_model_alias("colours", "champion", "2")
            seen = set().union(*answers)
        assert seen == {(200, "colours/1", "exp1", "red"), (200, "colours/2", "exp2", "green")}
        assert 'reprocnn_model_loads_total{result="loaded"} 2.0' in server.get("/metrics").body.decode()


@pytest.mark.serve
def test_a_registry_that_is_gone_or_an_alias_without_a_model_keeps_the_model(here: Path, registered: None) -> None:
    with serving(here, "--model", "models:/colours@champion", "--watch", "0.1") as server:
        store.connect()[0].delete_registered_model_alias("colours", "champion")
        assert "the old one stays" in server.logged("has no models:/colours@champion; it has colours")
        said = server.post("/predict", png(), PNG)
        assert (said.status, said.json["model"]["registry_version"]) == (200, "colours/1")


class Tracker(BaseHTTPRequestHandler):
    """An MLflow server with one version of a model, which works, hangs, or ends each connection."""

    state = "works"
    folder: Path

    def do_GET(self) -> None:
        if type(self).state == "hangs":
            hanging.set()
            stopped.wait(60)
        if type(self).state != "works":
            return
        answers = {
            "get-by-name": {"experiment": {"experiment_id": "0", "name": "reprocnn", "lifecycle_stage": "active"}},
            "alias": {"model_version": {"name": "colours", "version": "1", "creation_timestamp": 1, "source": "-"}},
            "get-download-uri": {"artifact_uri": self.folder.as_uri()},
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answers[self.path.partition("?")[0].rpartition("/")[2]]).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


hanging, stopped = threading.Event(), threading.Event()


@pytest.fixture
def tracker(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Tracker]]:
    write_tiny_model(here / "one" / "model.onnx")
    monkeypatch.setattr(Tracker, "state", "works")
    monkeypatch.setattr(Tracker, "folder", here / "one", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Tracker) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        hanging.clear()
        stopped.clear()
        yield Tracker
        stopped.set()
        server.shutdown()


@pytest.mark.serve
def test_an_mlflow_server_that_hangs_delays_neither_answers_nor_the_end(here: Path, tracker: type[Tracker]) -> None:
    with serving(here, "--model", "models:/colours@champion", "--watch", "0.05") as server:
        tracker.state = "fails"
        server.logged("the old one stays")
        tracker.state = "hangs"
        assert hanging.wait(60)
        assert server.post("/predict", png(), PNG).json["answers"][0]["class"] == "red"
        server.process.terminate()
        assert server.process.wait(10) == 143
        lines = server.log.read_text().splitlines()
    assert not [line for line in lines if "stays" not in line and "/predict" not in line], "lines of libraries"


def test_a_missing_registered_model_is_an_error_that_lists_what_there_is(here: Path, registered: None) -> None:
    with pytest.raises(
        UserError, match=r"has no models:/colours@best; it has colours \(versions 1, 2; @champion is 1\)"
    ):
        serve.Registered("models:/colours@best", None).current()
