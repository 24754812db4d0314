import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dvc.dvcfile import is_valid_filename
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from reprocnn.artifacts.files import md5, write_json
from reprocnn.artifacts.history import HISTORY, read_history
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.scores import PER_CLASS
from reprocnn.ledger import record, store
from reprocnn.ledger.git import Changes
from reprocnn.ledger.mirror import Mirror, find, mlflow_name
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG
from reprocnn.ledger.record import Record, Times
from reprocnn.params import read_params
from reprocnn.run import journal
from reprocnn.run.identity import ENVIRONMENT


def _record(name: str = "", **changes: Any) -> Record:
    """Build the record of the folder as a result of an experiment; without a name, of no experiment."""
    origin = {EXPERIMENT_TAG: name or "none", BASELINE_TAG: "abc" if name else "none"}
    made = record.of_folder(Path(), name or "main@abc", origin, md5(MODEL), ("evaluate", "plot"))
    made.model = None  # the fixture has no real model
    return replace(made, **changes)


def _mirror(made: Record) -> Mirror:
    client, experiment_id = store.connect()
    return Mirror(client, experiment_id, find(client, experiment_id, made))


def test_a_run_gets_everything_exactly_once(trained: Path) -> None:
    made = _record("exp-a")
    added = _mirror(made).complete(made)
    assert added[0] == "run"
    mirror = _mirror(made)
    assert mirror.complete(made) == []
    client = store.connect()[0]
    run = client.get_run(str(mirror.run_id))
    assert run.info.run_name == "exp-a"
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "10"
    assert run.data.tags["restored"].startswith("from DVC's files; absent: versions and hardware, epoch times")
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "train_loss")] == [
        (1, 0.5),
        (2, 0.25),
    ]
    assert run.data.metrics["test_accuracy"] == 0.5
    assert run.data.metrics["best_epoch"] == 2
    names = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert names == {
        *("figures", "report.html", "model_card.md", "model.json", "training.json", "history.csv", "params.yaml"),
        *("DVC.yaml", "metrics.json", "per_class.csv", "confusion_matrix.csv", "predictions.csv", "hashes.json"),
        *("confidence.csv", "reliability.csv", "coverage.csv", "robustness.csv"),
    }


def test_a_secret_in_a_comment_of_params_yaml_is_not_uploaded(trained: Path) -> None:
    with Path("params.yaml").open("a") as file:
        file.write("# token: hunter22\n")
    made = _record("exp-a")
    mirror = _mirror(made)
    mirror.complete(made)
    client = store.connect()[0]
    uploaded = Path(client.download_artifacts(str(mirror.run_id), "params.yaml")).read_text()
    assert uploaded == Path("params.yaml").read_text().replace("hunter22", "***")
    assert _mirror(made).complete(made) == []


@pytest.mark.parametrize("lost", ["train_loss", "test_accuracy"])
def test_only_the_missing_part_of_a_run_is_added(trained: Path, lost: str) -> None:
    complete = _record("exp-a")
    incomplete = deepcopy(complete)
    if lost == "train_loss":
        incomplete.epochs = incomplete.epochs[:1]
    else:
        del incomplete.final["test_accuracy"]
    _mirror(incomplete).complete(incomplete)
    assert _mirror(complete).complete(complete) == (["1 epochs"] if lost == "train_loss" else ["metrics"])
    mirror = _mirror(complete)
    history = store.connect()[0].get_metric_history(str(mirror.run_id), "train_loss")
    assert [m.step for m in history] == [1, 2]


def test_an_epoch_sent_twice_is_stored_once(trained: Path) -> None:
    made = _record("exp-a")
    mirror = _mirror(made)
    mirror.complete(made)
    mirror._epochs = set()  # what the client knows after a timeout
    mirror.complete(made)
    history = store.connect()[0].get_metric_history(str(mirror.run_id), "train_loss")
    assert [m.step for m in history] == [1, 2]


def test_a_file_that_changed_is_logged_again(trained: Path) -> None:
    _mirror(_record("exp-a")).complete(_record("exp-a"))
    write_json(PER_CLASS, ["other"])
    assert _mirror(_record("exp-a")).complete(_record("exp-a")) == ["1 files"]


def test_a_run_renamed_by_the_user_keeps_its_name(trained: Path) -> None:
    made = _record("exp-a")
    mirror = _mirror(made)
    mirror.complete(made)
    store.connect()[0].update_run(str(mirror.run_id), name="my best")
    assert _mirror(made).complete(made) == []


def test_a_run_is_found_by_model_experiment_and_params_newest_first(trained: Path) -> None:
    client, experiment_id = store.connect()

    def made(model: str, name: str, top_k: str = "5") -> str:
        tags = {
            record.MODEL_TAG: model,
            EXPERIMENT_TAG: name,
            BASELINE_TAG: "abc" if name[0] == "e" else "none",
        }
        run = client.create_run(experiment_id, tags=tags)
        client.log_param(run.info.run_id, "top_k", top_k)
        client.set_terminated(run.info.run_id)
        time.sleep(0.01)  # start times are in milliseconds
        return str(run.info.run_id)

    model = md5(MODEL)
    plain = made(model, "none")
    made("another", "exp-a")
    older, newest = made(model, "exp-a"), made(model, "exp-a")
    made(model, "exp-a", top_k="3")  # the same model with other test metrics
    assert _mirror(_record("exp-a")).run_id == newest != older
    assert _mirror(_record("exp-b")).run_id is None
    other_baseline = {EXPERIMENT_TAG: "exp-a", BASELINE_TAG: "def"}
    assert _mirror(_record("exp-a", origin=other_baseline)).run_id is None
    assert _mirror(_record()).run_id == plain
    client.delete_run(plain)
    assert _mirror(_record()).run_id == newest  # an experiment that was applied to the workspace
    assert _mirror(_record(params={"top_k": "4"})).run_id is None


def test_the_run_of_a_journal_is_taken_only_in_its_store_and_mlflow_experiment(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = _mirror(made := _record("exp-a"))
    mirror.complete(made)
    named = replace(made, run_id=mirror.run_id)
    assert _mirror(named).run_id == mirror.run_id
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "my-own")
    assert _mirror(named).run_id is None
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    assert _mirror(named).run_id is None
    there = _mirror(named)
    there.complete(named)
    assert _mirror(named).run_id == there.run_id, "found by the model and the experiment"


def test_only_the_own_experiment_gets_the_run_of_a_journal(trained: Path) -> None:
    origin = {EXPERIMENT_TAG: "exp-a", BASELINE_TAG: "abc"}
    begun = {"key": "key", "params": read_params(), "hashes": {}, "environment": {"cpu": "6502"}, "process": "host 1 1"}
    journal.append("key-1", "begin", at=100.0, **begun)
    journal.append("key-1", "origin", name="exp-a", tags=origin, diff="+a line", new_files=["new.py"])
    journal.append("key-1", "epoch", at=103.0, **vars(read_history(HISTORY)[0]), seconds=3.0)
    journal.append("key-1", "trained", model_md5=md5(MODEL), dataset="digits", metrics={})
    journal.append("key-1", "end", at=110.0, status="FINISHED")
    own, other = _record("exp-a"), _record("exp-b")
    assert (own.training, other.training) == ("key-1", "")
    assert (own.changes, other.changes) == (Changes("+a line", ("new.py",)), Changes())
    for made in (own, other):
        assert made.environment == {"cpu": "6502"}
        assert made.started == 100.0
        assert made.times == {1: Times(103.0, 3.0)}
        assert [epoch.train_loss for epoch in made.epochs] == [0.5, 0.25]
    mirror = _mirror(own)
    mirror.complete(own)
    client = store.connect()[0]
    (first,) = client.get_metric_history(str(mirror.run_id), "epoch_seconds")
    assert (first.value, first.timestamp) == (3.0, 103_000)
    run = client.get_run(str(mirror.run_id))
    assert run.data.tags["cpu"] == "6502"
    assert Path(client.download_artifacts(str(mirror.run_id), "uncommitted.diff")).read_text() == "+a line"
    names = client.download_artifacts(str(mirror.run_id), "uncommitted_new_files.json")
    assert json.loads(Path(names).read_text()) == ["new.py"]


def test_unknown_events_of_another_version_are_ignored(trained: Path) -> None:
    begun = {"key": "key", "params": {}, "hashes": {}, "environment": {}, "process": "host 1 1"}
    journal.append("key-1", "begin", **begun)
    journal.append("key-1", "epoch", **vars(read_history(HISTORY)[0]), new_column=1, seconds=3.0)
    journal.append("key-1", "origin", title="another key")
    journal.append("key-1", "trained", model_md5="m", dataset="digits", metrics={"best_epoch": 1})
    journal.append("key-2", "begin", other="values")
    (made,) = record.of_trainings()
    assert (made.name, made.epochs, made.final) == (record.UNKNOWN, [], {"best_epoch": 1})


def test_the_environment_file_of_another_model_is_ignored(trained: Path) -> None:
    write_json(ENVIRONMENT, {record.MODEL_TAG: md5(MODEL), "cpu": "6502"})
    assert _record().environment == {"cpu": "6502"}
    write_json(ENVIRONMENT, {record.MODEL_TAG: "another", "cpu": "6502"})
    assert _record().environment == {}


# Description


def _evaluated(name: str = "exp-a", **final: float) -> Record:
    made = _record(name)
    made.final |= {"test_accuracy": 0.5, "test_accuracy_low": 0.25, "test_accuracy_high": 0.75, "test_n": 12, **final}
    return made


def _description(made: Record) -> str:
    return str(store.connect()[0].get_run(str(_mirror(made).run_id)).data.tags["mlflow.note.content"])


def test_a_run_says_what_it_is_how_good_and_how_to_repeat_it(trained: Path) -> None:
    made = _evaluated()
    mirror = _mirror(made)
    mirror.complete(made)
    text = _description(made)
    assert text.startswith(
        "**deep_cnn** on **digits**: test accuracy **50.00%** (95 % interval 25.00% to 75.00%, 12 images)\n"
    )
    assert "\ndvc exp apply exp-a " in text
    assert f"\npython -m reprocnn reproduce {mirror.run_id} " in text
    assert "\npython -m reprocnn verify exp-a " in text


def test_a_description_says_the_validation_accuracy_until_the_test_accuracy_is_there(trained: Path) -> None:
    made = record.of_folder(Path(), "main@abc", {EXPERIMENT_TAG: "none", BASELINE_TAG: "none"}, md5(MODEL), ())
    made.model = None
    _mirror(made).complete(made)
    assert "validation accuracy **90.00%**" in _description(made)
    assert "dvc exp apply" not in _description(made)
    assert "description" in _mirror(_evaluated("")).complete(_evaluated(""))
    assert "test accuracy **50.00%**" in _description(made)
    assert _mirror(made).complete(made) == []  # a record without the test metrics doesn't take them back


def test_a_description_names_the_params_that_differ_from_those_of_its_commit(trained: Path) -> None:
    made = _evaluated("")
    for command in (("init", "-q"), ("add", "params.yaml"), ("commit", "-qm", "first")):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    made.origin |= {"git.commit": head, "git.dirty": "true"}
    made.params["epochs"] = "20"
    _mirror(made).complete(made)
    text = _description(made)
    assert f"\n- commit `{head[:7]}` with uncommitted changes\n" in text
    assert "\n- parameters changed since that commit: `epochs` 10 → 20\n" in text


@pytest.mark.parametrize("text", ["my notes", ""])
def test_a_description_that_the_user_edited_stays(trained: Path, text: str) -> None:
    made = _evaluated()
    mirror = _mirror(made)
    mirror.complete(made)
    store.connect()[0].set_tag(str(mirror.run_id), "mlflow.note.content", text)
    made.final["test_accuracy"] = 0.625
    assert _mirror(made).complete(made) == ["metrics"]
    assert _description(made) == text


# Names that DVC reads


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *(
            ("version.dvc", "version.DVC"),
            ("dvc.yaml", "DVC.yaml"),
            ("a/dvc.lock", "a/DVC.lock"),
            ("a/.dvc/b", "a/.DVC/b"),
        ),
        *((".dvcignore", ".DVCignore"), ("data.dvc", "data.DVC"), ("dvc.exp.name", "dvc.exp.name")),
        *(("my-dvc.yaml", "my-dvc.yaml"), ("dvc.yaml.txt", "dvc.yaml.txt"), ("version.mlflow", "version.mlflow")),
    ],
)
def test_mlflow_names_are_not_names_that_dvc_reads(name: str, found: str) -> None:
    assert mlflow_name(name) == found
    assert mlflow_name(found) == found


def test_a_file_store_in_the_checkout_does_not_disturb_dvc(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./runs")
    made = _record("exp-a", environment={"version.dvc": "3", "cpu": "6502"})
    made.params |= {"x.dvc": "1"}
    _mirror(made).complete(made)
    assert _mirror(made).complete(made) == []
    names = [path.name for path in (trained / "runs").rglob("*")]
    assert {"version.DVC", "x.DVC", "DVC.yaml"} <= set(names)
    assert not [name for name in names if is_valid_filename(name) or name in ("dvc.lock", ".dvcignore", ".dvc")]


def test_a_run_with_the_old_names_is_complete(trained: Path) -> None:
    made = _record("exp-a", environment={"version.dvc": "3"})
    mirror = _mirror(made)
    mirror.complete(made)
    client = store.connect()[0]
    client.delete_tag(str(mirror.run_id), "version.DVC")
    client.set_tag(str(mirror.run_id), "version.dvc", "3")
    assert _mirror(made).complete(made) == []


# Artifacts that can't be stored


def test_a_run_gets_its_status_even_if_its_files_cannot_be_stored(trained: Path) -> None:
    client, experiment_id = store.connect()
    (trained / "mlartifacts").write_text("in the way")
    made = _record("exp-a")
    mirror = _mirror(made)
    with pytest.raises(OSError, match="mlartifacts"):
        mirror.complete(made)
    run = client.get_run(str(mirror.run_id))
    assert (run.info.status, run.data.metrics["test_accuracy"], run.data.params["epochs"]) == ("FINISHED", 0.5, "10")
    (trained / "mlartifacts").unlink()
    assert _mirror(made).complete(made) == ["16 files"]
    assert experiment_id == run.info.experiment_id


def test_a_model_is_logged_in_a_thread_to_the_experiment_of_its_run(
    trained: Path, monkeypatch: pytest.MonkeyPatch, environment_changes: list[str]
) -> None:
    from reprocnn.backend import keras

    keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]).save(MODEL)
    client, experiment_id = store.connect()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    made = _record("exp-a", model=MODEL)
    mirror = _mirror(made)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(mirror.complete, made).result()[-1] == "model"
    assert environment_changes == []
    assert _mirror(made).complete(made) == []
    (output,) = client.get_run(str(mirror.run_id)).outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.experiment_id, logged.name, logged.params["epochs"]) == (experiment_id, "model", "10")


def test_a_run_that_a_server_with_logins_denies_is_one_that_it_does_not_have(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's basic authentication answers 403, not 404, for a run of another store."""
    made = replace(_record("exp-a"), run_id="0" * 32)
    client, experiment_id = store.connect()

    def denied(run_id: str) -> None:
        raise MlflowException("Permission denied", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(client, "get_run", denied)
    assert find(client, experiment_id, made) is None
