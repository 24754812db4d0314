"""Copy made-up models from the store of a checkout to another one; the last test has a real server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from PIL import Image

from checkouts import ROOT
from made_models import SHADES, Results
from mlflow_servers import mlflow_server
from reprocnn import cli
from reprocnn.ledger import registry, store
from reprocnn.ledger.registry import Version

TEAM = "sqlite:///team.db"


@pytest.fixture
def results(here: Path, schema: Path, empty_store: None) -> Results:
    """Provide a repository with two registered models, and an empty store of a team.

    The first one, with the alias `best`, is of a result that was overwritten; the second, with the alias `champion`,
    is of the result in the workspace.
    """
    shutil.copy(schema, here / "team.db")
    made = Results(here)
    made.commit(model="base")
    made.write(model="first", wrong=[1])
    cli.main(["promote", "--alias", "best"])
    made.write(model="second", wrong=[2], validation=0.95)
    cli.main(["promote"])
    return made


def _copy(*arguments: str, to: str = TEAM) -> None:
    cli.main(["registry", "copy", "--to", to, *arguments])


def _fails(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        _copy(*arguments)
    assert ended.value.code == 1


def _versions(uri: str = TEAM) -> list[Version]:
    """Return the versions in a store, oldest first."""
    return registry.versions(store.reader(store.absolute(uri)))[::-1]


def _team() -> MlflowClient:
    return store.client(store.absolute(TEAM))


def _counts(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


def test_a_version_arrives_with_tags_description_aliases_and_its_run(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _versions(store.own_uri())
    client = store.client(store.own_uri())
    client.set_registered_model_tag("digits", "team", "vision")
    client.update_registered_model("digits", "reads digits")
    capsys.readouterr()
    _copy()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"from {store.own_uri()}", f"to   sqlite:///{results.folder}/team.db"]
    assert lines[2] == "[1/2] digits  version 1 -> 1  copied; DVC and MLflow have no run for it there"
    assert lines[3].startswith("[2/2] digits  version 2 -> 2  copied, run ")
    assert lines[-1] == "2 versions: 2 copied, 0 already there; aliases: 2 set, 0 as they were"
    after = _versions()
    for old, new in zip(before, after, strict=True):
        assert (new.name, new.number, new.aliases, new.description) == (
            *(old.name, old.number, old.aliases, old.description),
        )
        copied = new.tags.pop("copied.from")
        assert copied.startswith(f"digits version {old.number} of {store.own_uri()}, registered 20")
        assert new.tags == old.tags
    assert (after[0].run_id, _team().get_run(after[1].run_id).data.tags["model.md5"]) == (
        "",
        after[1].tags["model.md5"],
    )
    model = _team().get_registered_model("digits")
    assert (model.tags, model.description) == ({"team": "vision"}, "reads digits")
    assert _versions(store.own_uri()) == before, "the store that is copied from does not change"


@pytest.mark.parametrize("alias", ["best", "champion"])
def test_its_files_arrive_and_belong_to_the_other_store(
    results: Results, alias: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [registry.fetch(f"models:/digits@{alias}")[1]]
    content = (sources[0] / "MLmodel").read_text()
    _copy()
    version, folder = registry.fetch(f"models:/digits@{alias}")
    assert (sources[0] / "MLmodel").read_text() == content != (folder / "MLmodel").read_text()
    assert version.source.removeprefix("models:/") in (folder / "MLmodel").read_text()
    names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert names == {path.relative_to(sources[0]) for path in sources[0].rglob("*") if path.is_file()}
    onnx = Path("artifacts/model.onnx")
    assert (folder / onnx).read_bytes() == (sources[0] / onnx).read_bytes()
    shutil.rmtree(sources[0])
    Image.new("L", (8, 8), SHADES["dog"]).save("picture.png")
    capsys.readouterr()
    cli.main(["predict", "picture.png", "--json", "--model", f"models:/digits@{alias}"])
    assert json.loads(capsys.readouterr().out)["class"] == "dog"


def test_a_second_copy_adds_nothing_in_either_direction(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    _copy()
    there = _versions()
    models = [model.model_id for model in _team().search_logged_models(["1"])]
    capsys.readouterr()
    _copy()
    assert _counts(capsys) == "2 versions: 0 copied, 2 already there; aliases: 0 set, 2 as they were"
    assert _versions() == there
    assert [model.model_id for model in _team().search_logged_models(["1"])] == models
    _copy("--from", TEAM, to=store.own_uri())
    assert _counts(capsys) == "2 versions: 0 copied, 2 already there; aliases: 0 set, 2 as they were"


def test_the_run_that_sync_made_there_is_taken_even_if_dvc_lost_the_result(results: Results) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = TEAM
    cli.main(["sync"])
    results.write(model="third")
    _copy()
    run_id = _versions()[1].run_id
    assert _team().get_run(run_id).data.tags["model.md5"] == _versions()[1].tags["model.md5"]
    assert len(_team().search_runs(["1"])) == 1


def test_only_the_named_model_is_copied(results: Results) -> None:
    cli.main(["promote", "--name", "other"])
    _copy("other")
    assert [(version.name, version.number) for version in _versions()] == [("other", 1)]


def test_versions_get_other_numbers_after_those_that_are_there(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    _team().create_registered_model("digits")
    _team().create_model_version("digits", "file:///another")
    _copy()
    printed = capsys.readouterr().out
    assert "[1/2] digits  version 1 -> 2  copied" in printed
    assert "[2/2] digits  version 2 -> 3  copied" in printed
    assert [version.aliases for version in _versions()] == [(), ("best",), ("champion",)]


def test_an_alias_that_points_elsewhere_moves_only_with_force(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    _team().create_registered_model("digits")
    _team().create_model_version("digits", "file:///another")
    _team().set_registered_model_alias("digits", "champion", "1")
    _fails()
    printed = capsys.readouterr().out
    assert "models:/digits@champion stays: it is version 1 there, and would be version 3\n" in printed
    assert "  fix: to move it: python -m reprocnn registry copy --force\n" in printed
    assert [version.aliases for version in _versions()] == [("champion",), ("best",), ()]
    _copy("--force")
    assert "models:/digits@champion is version 3 now; before: version 1\n" in capsys.readouterr().out
    assert [version.aliases for version in _versions()] == [(), ("best",), ("champion",)]


def test_a_version_whose_files_are_gone_does_not_stop_the_others(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(registry.fetch("models:/digits@best")[1])
    _fails()
    printed = capsys.readouterr().out
    assert "[1/2] digits  version 1  failed: the files of digits version 1 can't be read at " in printed
    assert "2 versions: 1 copied, 0 already there, 1 failed; aliases: 1 set, 0 as they were\n" in printed
    assert [version.aliases for version in _versions()] == [("champion",)]


def test_a_version_that_somebody_registered_by_hand_is_copied_once(results: Results, here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine/weights.txt").write_text("1 2 3")
    own = store.client(store.own_uri())
    own.create_registered_model("mine")
    own.create_model_version("mine", (here / "mine").as_uri(), tags={"by": "hand"})
    for _ in range(2):
        _copy("mine")
    (there,) = _versions()
    assert there.tags["by"] == "hand"
    folder = registry.fetch("models:/mine/1")[1]
    assert (folder / "weights.txt").read_text() == "1 2 3"
    _copy("mine", "--from", TEAM, to=store.own_uri())
    assert [version.number for version in _versions(store.own_uri()) if version.name == "mine"] == [1]


@pytest.mark.parametrize(
    ("moment", "step"),
    [
        ("before", "log_model_artifacts"),
        ("after", "log_model_artifacts"),
        ("after", "finalize_logged_model"),
        ("after", "create_registered_model"),
        ("after", "create_model_version"),
        ("after", "set_registered_model_alias"),
    ],
)
def test_a_killed_copy_is_completed_by_the_next(results: Results, step: str, moment: str) -> None:
    call = "step(*a, **k)\n    " if moment == "after" else ""
    code = (
        f"import os, mlflow\nfrom reprocnn import cli\nstep = mlflow.MlflowClient.{step}\n"
        f"def die(*a, **k):\n    {call}os.kill(os.getpid(), 9)\nmlflow.MlflowClient.{step} = die\n"
        f"cli.main(['registry', 'copy', '--to', '{TEAM}'])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    _copy()
    assert [version.aliases for version in _versions()] == [("best",), ("champion",)]
    assert len(_team().search_logged_models(["1"])) == 2, "nothing is twice"
    for alias in ("best", "champion"):
        assert (registry.fetch(f"models:/digits@{alias}")[1] / "MLmodel").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--to", "sqlite:///mlflow.db"],
            r"expected two MLflow stores, found one: .* to itself\n  fix: name the other",
        ),
        (["--from", TEAM, "--to", "sqlite:///./team.db"], "expected two MLflow stores, found one"),
        ([], "expected two MLflow stores, found one"),
        (
            ["--from", "sqlite:///no.db", "--to", TEAM],
            r"no MLflow store to copy from: .*/no.db does not exist\n  fix: ",
        ),
        (["nothing", "--to", TEAM], r"has no registered model 'nothing'; it has: digits\n  fix: name one of these"),
        (["--from", "http://127.0.0.1:9", "--to", TEAM], "MLflow at http://127.0.0.1:9: nothing listens there"),
        (["--to", "http://127.0.0.1:9"], "MLflow at http://127.0.0.1:9: nothing listens there"),
    ],
)
def test_nonsense_is_refused(results: Results, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        cli.main(["registry", "copy", *arguments])
    assert _versions() == []
    assert not Path("no.db").exists()


@pytest.mark.slow
def test_models_move_to_a_server_and_back(results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mlflow_server(tmp_path / "server") as server:
        for _ in range(2):
            _copy(to=server)
        assert _counts(capsys) == "2 versions: 0 copied, 2 already there; aliases: 0 set, 2 as they were"
        cli.main(["sync"])
        assert _counts(capsys) == "1 result: 0 runs created, 0 completed, 1 already complete"
        Image.new("L", (8, 8), SHADES["cat"]).save("picture.png")
        for alias in ("best", "champion"):
            cli.main(["predict", "picture.png", "--json", "--model", f"models:/digits@{alias}"])
            assert json.loads(capsys.readouterr().out)["class"] == "cat"
        _copy("--from", server)
    assert [version.aliases for version in _versions()] == [("best",), ("champion",)]
