"""Promote made-up results, whose predictions are known; the last tests have real ones, and a real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import mlflow.cli
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binomtest

from checkouts import ROOT, Checkout
from made_models import SHADES, Results
from made_results import N
from mlflow_servers import mlflow_server
from reprocnn import cli
from reprocnn.evaluation.comparison import bootstrap_interval
from reprocnn.ledger import registry, revisions, store
from reprocnn.ledger.registry import Version


@pytest.fixture
def results(here: Path, empty_store: None) -> Results:
    """Provide a repository whose HEAD has a result; ten of its 100 test images are wrong."""
    made = Results(here)
    made.commit(model="base", wrong=range(10))
    return made


def _versions() -> list[Version]:
    return registry.versions(store.connect()[0])


def _alias(name: str = "champion") -> int | None:
    return next((version.number for version in _versions() if name in version.aliases), None)


def _refused(message: str, *arguments: str) -> None:
    with pytest.raises(SystemExit, match=message):
        cli.main(["promote", *arguments])


# What is registered


def test_the_first_model_is_registered_with_where_it_comes_from(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(model="vgg", wrong=range(5), validation=0.95)
    cli.main(["promote"])
    assert "models:/digits@champion is version 1 now\n" in capsys.readouterr().out
    (made,) = _versions()
    here = revisions.workspace()
    expected = {
        "promoted.name": "workspace",
        "git.commit": here.origin["git.commit"],
        "git.dirty": "false",
        "dvc.exp.name": "none",
        "model.md5": here.model_md5,
        "data.test.md5": here.test_md5,
        "predictions.md5": here.hashes["reports/predictions.csv"],
        "metrics.validation_accuracy": "0.95",
        "metrics.test_accuracy": "0.95",
        "metrics.test_n": str(N),
    }
    assert {tag: made.tags.get(tag) for tag in expected} == expected
    assert (made.name, made.number, made.aliases) == ("digits", 1, ("champion",))
    client = store.connect()[0]
    assert client.get_run(made.run_id).data.tags["model.md5"] == here.model_md5
    assert client.get_model_version("digits", "1").description.startswith(
        "**deep_cnn** on **digits**: test accuracy **95.00%**"
    )


def test_the_same_model_gets_no_second_version(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    results.write(model="vgg")
    cli.main(["promote"])
    cli.main(["promote"])
    assert "workspace is models:/digits@champion already: version 1\n" in capsys.readouterr().out
    cli.main(["promote", "--alias", "best"])
    assert "digits version 1 has this model already: no new version\n" in capsys.readouterr().out
    assert [version.aliases for version in _versions()] == [("best", "champion")]


def test_predict_takes_the_champion(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    results.write(model="vgg")
    cli.main(["promote"])
    Image.new("RGB", (40, 30), (SHADES["dog"],) * 3).save("picture.png")
    capsys.readouterr()
    cli.main(["predict", "picture.png", "--json", "--model", "models:/digits@champion"])
    assert json.loads(capsys.readouterr().out)["class"] == "dog"


# What is refused


def test_a_better_model_is_compared_with_the_champion_and_promoted(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(model="mlp", wrong=range(20))
    cli.main(["promote"])
    results.write(model="vgg", wrong=range(15, 22))
    capsys.readouterr()
    cli.main(["promote"])
    printed = capsys.readouterr().out
    assert "both right 78, only version 1 2, only workspace 15, both wrong 5\n" in printed
    low, high = bootstrap_interval(N, 2, 15)
    assert f"+13.00 points, 95 % interval {low * 100:+.2f} to {high * 100:+.2f} (paired bootstrap)" in printed
    assert f"McNemar's exact test: p = {binomtest(2, 17).pvalue:.3f}; they differ significantly" in printed
    assert "models:/digits@champion is version 2 now; before: version 1\n" in printed
    assert [version.aliases for version in _versions()] == [("champion",), ()]


@pytest.mark.parametrize(("wrong", "is_refused"), [(range(16), True), (range(8, 13), False), (range(12), False)])
def test_a_model_is_refused_only_if_the_whole_interval_is_below_zero(
    results: Results, wrong: range, is_refused: bool
) -> None:
    """One with 6 more of 100 images wrong is worse for certain; one with 2 more may be as good."""
    results.write(model="mlp", wrong=range(10))
    cli.main(["promote"])
    results.write(model="vgg", wrong=wrong)
    if is_refused:
        _refused(
            r"workspace is worse than version 1 .*expected an interval .* 0, found -11.00 to -2.00 points\n  fix: "
        )
    else:
        cli.main(["promote"])
    assert _alias() == (1 if is_refused else 2)


def test_other_test_data_are_refused_by_their_content(results: Results) -> None:
    results.write(model="mlp")
    cli.main(["promote"])
    before = revisions.workspace().test_md5
    results.write(model="vgg", images=range(1, 99))
    found = revisions.workspace().test_md5
    _refused(f"other test data than version 1: expected {before}, found {found}\n  fix: ")
    assert len(_versions()) == 1
    cli.main(["promote", "--name", "others"])
    assert [version.name for version in _versions()] == ["others", "digits"]


def test_the_same_model_with_other_test_data_is_another_version(results: Results) -> None:
    results.write(model="mlp")
    cli.main(["promote"])
    results.write(model="mlp", images=range(1, 99))
    _refused("other test data than version 1")
    cli.main(["promote", "--force"])
    second, first = _versions()
    assert first.tags["model.md5"] == second.tags["model.md5"]
    assert second.aliases == ("champion",)


def test_force_promotes_anyhow_and_says_so_in_a_tag(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    results.write(model="mlp")
    cli.main(["promote", "--force"])
    results.write(model="vgg", wrong=range(50))
    cli.main(["promote", "--force"])
    second, first = _versions()
    assert "promoted.forced" not in first.tags, "nothing was forced"
    assert second.tags["promoted.forced"].startswith("workspace is worse than version 1 on the test images: expected ")
    assert second.aliases == ("champion",)
    cli.main(["registry"])
    assert "digits version 2 was promoted with --force: workspace is worse than" in capsys.readouterr().out


def test_a_registered_model_that_is_forced_gets_the_tag(results: Results) -> None:
    results.write(model="mlp", wrong=range(50))
    cli.main(["promote", "--alias", "first"])
    results.write(model="vgg")
    cli.main(["promote"])
    results.write(model="mlp", wrong=range(50))
    cli.main(["promote", "--force"])
    assert _alias() == 1
    assert "is worse than version 2" in _versions()[1].tags["promoted.forced"]


def test_an_error_of_dvc_is_an_error_with_a_fix(results: Results) -> None:
    results.commit(model="vgg")  # with a dvc.yaml that DVC refuses
    _refused(r"error: './dvc.yaml' validation failed in revision '\w+'", "HEAD")


def test_metrics_of_another_model_are_refused(results: Results) -> None:
    """`dvc repro train` leaves the metrics of the last model."""
    results.write(model="mlp")
    lock = (results.folder / "dvc.lock").read_text()
    outs, tested = lock.split("evaluate:")
    model = revisions.workspace().model_md5
    (results.folder / "dvc.lock").write_text(f"{outs}evaluate:{tested.replace(model, 'a' * 32)}")
    _refused(r"the test metrics of workspace are of another model: evaluate did not run after train\n  fix: dvc repro")


def test_a_version_that_promote_did_not_register_is_no_champion_to_compare_with(results: Results) -> None:
    results.write(model="mlp")
    cli.main(["promote", "--alias", "best"])
    client = store.connect()[0]
    source = _versions()[0].source
    by_hand = client.create_model_version("digits", source, model_id=source.removeprefix("models:/"))
    client.set_registered_model_alias("digits", "champion", by_hand.version)
    results.write(model="vgg")
    _refused("other test data than version 2: expected unknown, found ")
    cli.main(["promote", "--force"])
    assert _alias() == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--name", "a/b"], r"name of a registered model: expected letters, .*, found 'a/b'\n  fix: .*--name"),
        (["--name", "a'b"], r"found \"a'b\""),
        (["--alias", "latest"], r"--alias: expected .*, but not `latest` or `v1`, found 'latest'\n  fix: "),
        (["--alias", "v2"], "found 'v2'"),
        (["nothing"], r"no experiment or revision is called 'nothing'\n  fix: `dvc exp list"),
        (["abcd1234"], r"is called 'abcd1234'; 0 runs in .* have an ID that begins with 'abcd1234'.*\n  fix: "),
        (["HEAD", "--best"], r"expected names or --best, found both: HEAD\n  fix: "),
    ],
)
def test_nonsense_is_refused(results: Results, arguments: list[str], message: str) -> None:
    _refused(message, *arguments)
    assert _versions() == []


# Which result


def test_the_candidate_is_chosen_by_validation_accuracy(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    results.experiment("poor", model="vgg", validation=0.7)  # the best on the test images
    results.write(model="lenet", wrong=range(9), validation=0.92)
    cli.main(["promote", "--best"])
    assert "workspace has the best validation accuracy of 3 results: 92.00%\n" in capsys.readouterr().out
    assert _versions()[0].metrics["validation_accuracy"] == 0.92
    cli.main(["promote", "HEAD", "poor", "workspace", "main"])
    assert "of 3 results" in capsys.readouterr().out


def test_an_mlflow_run_stands_for_its_result(results: Results) -> None:
    results.write(model="lenet")
    cli.main(["promote"])
    run_id = _versions()[0].run_id
    cli.main(["promote", run_id[:8], "--alias", "run"])
    assert _alias("run") == 1
    results.write(model="vgg")
    _refused(rf"run {run_id} .*: no dvc.lock of this repository has its model, \w+\n  fix: ", run_id)


# Earlier looks


def _looks(capsys: pytest.CaptureFixture[str], *arguments: str) -> int:
    capsys.readouterr()
    cli.main(["promote", *arguments])
    return int(re.findall(r"earlier looks at these test images: (\d+) other", capsys.readouterr().out)[0])


def test_models_that_were_evaluated_on_the_same_test_images_are_counted_once(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(model="a")
    assert _looks(capsys) == 1, "HEAD"
    assert _looks(capsys, "--alias", "other") == 1, "its own run does not count"
    results.write(model="b")
    assert _looks(capsys) == 2, "HEAD, and the run and the version of a"
    results.experiment("exp", model="c")
    results.experiment("same", model="c")
    results.write(model="d", images=range(50))
    assert _looks(capsys, "--name", "fifty") == 0
    results.write(model="e")
    assert _looks(capsys) == 4, "HEAD, a, b, and c once"


def test_deleted_runs_count(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    results.write(model="a")
    cli.main(["promote"])
    client = store.connect()[0]
    client.delete_run(_versions()[0].run_id)
    client.delete_registered_model("digits")
    results.write(model="b")
    assert _looks(capsys) == 2


# What is gone


def test_predictions_of_the_champion_come_from_its_run_if_the_cache_lacks_them(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(model="a", wrong=[1])
    cli.main(["promote"])
    cached, run_id = revisions.in_cache(_versions()[0].tags["predictions.md5"]), _versions()[0].run_id
    cached.unlink()
    results.write(model="b", wrong=[2])
    cli.main(["promote"])
    assert "both right 98, only version 1 1, only workspace 1, both wrong 0" in capsys.readouterr().out
    folder = Path(store.connect()[0].get_run(run_id).info.artifact_uri.removeprefix("file://"))
    gone = r"the predictions of digits version 1 are neither in DVC's cache nor in its MLflow run: .* found: "
    cli.main(["promote", "--alias", "other"])
    store.connect()[0].set_registered_model_alias("digits", "champion", "1")
    (folder / "predictions.csv").write_text("altered")
    _refused(rf"{gone}the file in the run has the md5 \w+\n  fix: dvc fetch")
    shutil.rmtree(folder)
    _refused(gone)


def test_a_version_outlives_its_run_and_garbage_collection(results: Results) -> None:
    results.write(model="a", wrong=[1])
    cli.main(["promote"])
    run_id = _versions()[0].run_id
    store.connect()[0].delete_run(run_id)
    collected = CliRunner().invoke(mlflow.cli.gc, ["--backend-store-uri", store.tracking_uri()])
    assert f"Run with ID {run_id} has been permanently deleted" in collected.output
    cli.main(["sync"])  # makes another run, with a model of its own
    Image.new("L", (8, 8), SHADES["cat"]).save("picture.png")
    cli.main(["predict", "picture.png", "--model", "models:/digits@champion"])
    cli.main(["promote"])
    assert len(_versions()) == 1


def test_a_version_without_files_is_an_error_and_registered_again(results: Results) -> None:
    results.write(model="a")
    cli.main(["promote"])
    folder = registry.fetch("models:/digits@champion")[1]
    shutil.rmtree(folder)
    client = store.connect()[0]
    client.delete_logged_model(_versions()[0].source.removeprefix("models:/"))
    with pytest.raises(SystemExit, match=r"the files of digits version 1 can't be read .*\n  fix: register .* promote"):
        cli.main(["predict", "picture.png", "--model", "models:/digits@champion"])
    cli.main(["promote"])
    assert _alias() == 2
    assert (registry.fetch("models:/digits@champion")[1] / "MLmodel").exists()


# Kills, and several at once


def _start(code: str = "") -> "subprocess.Popen[str]":
    """Promote in another process, which runs code first."""
    command = f"import os, mlflow\nfrom reprocnn import cli\n{code}\ncli.main(['promote'])"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen([sys.executable, "-c", command], env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("moment", "step"),
    [
        ("before", "log_model_artifacts"),
        ("after", "create_registered_model"),
        ("after", "create_model_version"),
        ("after", "set_registered_model_alias"),
    ],
)
def test_a_killed_one_is_completed_by_the_next(results: Results, step: str, moment: str) -> None:
    results.write(model="a")
    kill = f"step = mlflow.MlflowClient.{step}\ndef die(*a, **k):\n    "
    kill += "" if moment == "before" else "step(*a, **k)\n    "
    process = _start(f"{kill}os.kill(os.getpid(), 9)\nmlflow.MlflowClient.{step} = die")
    process.communicate()
    assert process.returncode == -9
    cli.main(["promote"])
    (made,) = _versions()
    assert made.aliases == ("champion",)
    assert made.tags["model.md5"] == revisions.workspace().model_md5
    assert (registry.fetch("models:/digits@champion")[1] / "MLmodel").exists()


def test_several_at_once_make_one_version(results: Results) -> None:
    results.write(model="a")
    processes = [_start() for _ in range(3)]
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], printed
    assert sum("@champion is version 1 now" in text for text in printed) == 1
    assert [version.aliases for version in _versions()] == [("champion",)]


def test_of_two_versions_with_the_same_model_the_champion_counts(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two checkouts registered the same model at the same time."""
    results.write(model="a")
    cli.main(["promote"])
    client, first = store.connect()[0], _versions()[0]
    client.create_model_version("digits", first.source, first.run_id, first.tags)
    cli.main(["promote"])
    assert "workspace is models:/digits@champion already: version 1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        ("moved", "stays at digits version 2: @champion was moved from digits version 1 to digits version 2 from ano"),
        ("registered", "stays at digits version 1: digits version 3 was registered from another checkout meanwhile"),
    ],
)
def test_a_faster_checkout_wins(results: Results, monkeypatch: pytest.MonkeyPatch, happens: str, message: str) -> None:
    """It promotes, with the same server, a model that this checkout did not see."""
    results.write(model="a")
    cli.main(["promote"])
    results.write(model="b")
    cli.main(["promote", "--alias", "challenger"])
    source, register = _versions()[0].source, registry.register

    def late(client: mlflow.MlflowClient, *arguments: Any) -> int:
        if happens == "moved":
            client.set_registered_model_alias("digits", "champion", "2")
        else:
            client.create_model_version("digits", source)
        return register(client, *arguments)

    results.write(model="c")
    before = _alias()
    with monkeypatch.context() as patch:
        patch.setattr(registry, "register", late)
        _refused(rf"{message}.*\n  fix: run promote again")
    assert _alias() == (2 if happens == "moved" else before)
    number = _versions()[0].number
    cli.main(["promote"])
    assert _alias() == number, "no second version"


# Real results


@pytest.mark.slow
def test_experiments_are_promoted_in_a_checkout(checkout: Checkout) -> None:
    printed = checkout.reprocnn("promote", "--name", "digits", "--alias", "champion")
    assert "models:/digits@champion is version 1 now\n" in printed
    printed = checkout.reprocnn("promote", "HEAD", "two", "--force")
    assert "two has the best validation accuracy of 2 results" in printed
    assert "McNemar's exact test: p = " in printed
    first, second = json.loads(checkout.reprocnn("registry", "--json"))[::-1]
    head = checkout.run("git", "rev-parse", "HEAD").strip()
    experiment = checkout.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/two").strip()
    assert (first["experiment"], second["experiment"], second["aliases"]) == (None, "two", ["champion"])
    assert (first["result"], second["result"]) == (head[:7], "two")
    assert [one["tags"]["promoted.commit"] for one in (first, second)] == [head, experiment]
    assert first["commit"] == second["commit"] == second["tags"]["dvc.exp.baseline_rev"] == head
    checkout.run("dvc", "exp", "apply", "two")
    assert "two is models:/digits@champion already: version 2\n" in checkout.reprocnn("promote")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Start an MLflow server; its files are in the folder `server`."""
    with mlflow_server(tmp_path / "server") as uri:
        yield uri


@pytest.mark.slow
def test_it_works_with_a_server_and_downloads_a_version_once(
    results: Results, server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    results.write(model="a", wrong=[1])
    cli.main(["promote"])
    revisions.in_cache(_versions()[0].tags["predictions.md5"]).unlink()
    results.write(model="b", wrong=[2])
    cli.main(["promote"])
    assert "both right 98, only version 1 1, only workspace 1, both wrong 0" in capsys.readouterr().out
    assert [version.aliases for version in _versions()] == [("champion",), ()]
    Image.new("L", (8, 8), SHADES["cat"]).save("picture.png")
    for _ in range(2):
        cli.main(["predict", "picture.png", "--json", "--model", "models:/digits@champion"])
        assert json.loads(capsys.readouterr().out)["class"] == "cat"
        shutil.rmtree(results.folder / "server/artifacts", ignore_errors=True)
    with pytest.raises(SystemExit, match="the files of digits version 1 can't be read"):
        cli.main(["predict", "picture.png", "--model", "models:/digits/1"])
