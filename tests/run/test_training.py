"""Test what surrounds a fit, without MLflow; tests/ledger/test_live.py tests what reaches MLflow."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from reprocnn.artifacts.files import md5, write_bytes
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD, ModelCard, write_model_card
from reprocnn.artifacts.training import TRAINING, TrainingSummary, write_training
from reprocnn.params import PARAMS
from reprocnn.run import checkpoints, journal, mirror
from reprocnn.run.checkpoints import FRESH_VARIABLE
from reprocnn.run.identity import ENVIRONMENT
from reprocnn.run.training import training

SUMMARY = TrainingSummary(
    validation_loss=0.5,
    validation_accuracy=0.9,
    best_epoch=1,
    best_validation_accuracy=0.9,
    parameters=10,
    onnx_difference=1e-6,
    mflops=0.1,
)
PARAMS_OF_TRAIN = {"threads": 2, "epochs": 3}


@pytest.fixture(autouse=True)
def _folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "follow_training", lambda _: mirror.NoMirror())
    write_bytes(Path("data/x"), b"x")
    Path("dvc.yaml").write_text("stages: {train: {deps: [data/x]}}\n")


def _train(ending: BaseException | None = None, **changes: object) -> None:
    with training(PARAMS_OF_TRAIN | changes, []) as (checkpoint, events):
        events.epoch(Epoch(1, 0.5, 0.6, 0.7, 0.8, 0.001), 2.0)
        folder = checkpoint._file.parent  # the file that a checkpoint writes
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint._file.write_bytes(b"")
        if ending:
            raise ending
        _write_model()


def _write_model() -> None:
    write_bytes(MODEL, b"a model")
    write_model_card(MODEL_CARD, ModelCard("digits", "mlp", ("0", "1"), (8, 8, 1)))
    write_training(TRAINING, SUMMARY)


def _statuses() -> list[str]:
    return [journal.status(journal.read(training)) for training in journal.trainings()]


def test_the_journal_has_what_outputs_must_not_contain() -> None:
    _train()
    (name,) = journal.trainings()
    begin, epoch, trained, end = journal.read(name)
    assert begin.values["params"]["dataset"] == "digits"
    assert begin.values["hashes"] == {"data/x": md5(Path("data/x"))}
    assert begin.values["environment"]["threads"] == "2"
    assert epoch.values["seconds"] == 2.0
    assert trained.values == {"model_md5": md5(MODEL), "dataset": "digits", "metrics": asdict(SUMMARY)}
    assert end.values == {"status": "FINISHED"}
    written = json.loads(ENVIRONMENT.read_text())
    assert written == {"model.md5": md5(MODEL), **begin.values["environment"]}


@pytest.mark.parametrize(
    ("ending", "status"), [(RuntimeError(), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(143), "KILLED")]
)
def test_the_journal_ends_with_the_status_of_the_training(ending: BaseException, status: str) -> None:
    with pytest.raises(type(ending)):
        _train(ending)
    assert _statuses() == [status]
    assert not ENVIRONMENT.exists()


def test_an_interrupted_training_continues_its_journal() -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            _train(KeyboardInterrupt())
    _train()
    assert _statuses() == ["FINISHED"]
    _train()  # the checkpoint is still there: DVC did not record the training
    assert _statuses() == ["FINISHED"]
    checkpoints.remove(md5(MODEL))
    _train()  # as with --force
    assert _statuses() == ["FINISHED", "FINISHED"]


def test_other_params_of_any_stage_start_a_new_training() -> None:
    with pytest.raises(KeyboardInterrupt):
        _train(KeyboardInterrupt())
    PARAMS.write_text(PARAMS.read_text().replace("top_k: 5", "top_k: 3"))
    with pytest.raises(KeyboardInterrupt):
        _train(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        _train(KeyboardInterrupt(), epochs=4)
    assert _statuses() == ["KILLED"] * 3


def test_a_training_that_resumes_in_a_new_journal_copies_its_epochs() -> None:
    with pytest.raises(KeyboardInterrupt):
        _train(KeyboardInterrupt())
    PARAMS.write_text(PARAMS.read_text().replace("top_k: 5", "top_k: 3"))
    _train()
    first, second = journal.trainings()
    (epoch,) = [event for event in journal.read(first) if event.kind == "epoch"]
    assert [event.kind for event in journal.read(second)] == ["begin", "epoch", "epoch", "trained", "end"]
    assert journal.read(second)[1] == epoch


def test_a_fresh_start_is_a_new_training(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        _train(KeyboardInterrupt())
    monkeypatch.setenv(FRESH_VARIABLE, "1")
    _train()
    assert _statuses() == ["KILLED", "FINISHED"]


def test_only_the_checkpoints_of_the_recorded_model_are_removed() -> None:
    _train()
    with pytest.raises(KeyboardInterrupt):
        _train(KeyboardInterrupt(), epochs=4)
    assert len(checkpoints.leftover_folders()) == 2
    checkpoints.remove("another")
    assert len(checkpoints.leftover_folders()) == 2
    checkpoints.remove(md5(MODEL))
    (left,) = checkpoints.leftover_folders()
    assert _statuses() == ["FINISHED", "KILLED"]
    assert journal.trainings()[1].startswith(left.name[:16])


def test_the_lock_is_held_while_a_training_runs() -> None:
    with training(PARAMS_OF_TRAIN, []):
        key = journal.read(journal.trainings()[0])[0].values["key"]
        with checkpoints.try_lock(key) as unused:
            assert not unused
        _write_model()
    with checkpoints.try_lock(key) as unused:
        assert unused
