"""Optuna proposes; a continued study proposes what an uninterrupted one does. Needs the packages of `sweep`."""

from pathlib import Path
from typing import Any

import pytest

from reprocnn.commands.sweep.settings import Range, Sweep
from reprocnn.commands.sweep.study import STORAGE, Study
from reprocnn.errors import UserError

pytestmark = pytest.mark.sweep
RANGES = {"learning_rate": Range(low=0.0001, high=0.1, log=True), "momentum": Range(low=0.1, high=0.9)}
LISTS = {"learning_rate": [0.1, 0.2], "batch_size": [16, 32, 64]}


def _sweep(sampler: str, **settings: Any) -> Sweep:
    space = LISTS if sampler == "grid" else RANGES
    return Sweep.model_validate({"trials": 30, "sampler": sampler, "space": space} | settings)


def _finish(study: Study, count: int) -> list[dict[str, Any]]:
    """Run trials whose goal is highest where learning_rate is 0.01."""
    proposed = []
    for _ in range(count):
        trial = study.ask()
        proposed.append(dict(trial.params))
        study.tell(trial, -abs(trial.params["learning_rate"] - 0.01), "COMPLETE")
    return proposed


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "grid"])
def test_a_continued_study_proposes_what_an_uninterrupted_one_does(tmp_path: Path, sampler: str) -> None:
    count = 6 if sampler == "grid" else 14
    whole = _finish(Study(_sweep(sampler), "s", tmp_path / "whole"), count)
    parts = [_finish(Study(_sweep(sampler), "s", tmp_path / "parts"), count // 2) for _ in range(2)]
    assert parts[0] + parts[1] == whole
    other = _finish(Study(_sweep(sampler, seed=1), "s", tmp_path / "other"), count)
    assert other != whole


def test_a_grid_has_each_combination_once_and_ends(tmp_path: Path) -> None:
    study = Study(_sweep("grid", trials=None), "s", tmp_path / "study")
    assert study.size == 6
    proposed = _finish(study, 6)
    assert len({tuple(sorted(params.items())) for params in proposed}) == 6
    assert not study.has_next


def test_an_interrupted_trial_keeps_its_parameters_and_its_epochs(tmp_path: Path) -> None:
    study = Study(_sweep("random", trials=1), "s", tmp_path / "study")
    trial = study.ask()
    study.report(trial, 1, 0.5)
    again = Study(_sweep("random", trials=1), "s", tmp_path / "study")
    [resumed] = again.interrupted()
    assert resumed.params == trial.params
    assert not again.report(resumed, 1, 0.5)
    assert not again.has_next
    again.tell(resumed, 0.6, "COMPLETE")
    assert again.best().value == 0.6  # type: ignore[union-attr]


def test_a_failed_trial_is_proposed_again_once(tmp_path: Path) -> None:
    study = Study(_sweep("random", trials=2), "s", tmp_path / "study")
    failed = study.ask()
    study.tell(failed, None, "FAIL")
    _finish(study, 1)
    assert not study.has_next
    again = Study(_sweep("random", trials=2), "s", tmp_path / "study")
    again.repeat_failed()
    again.repeat_failed()
    assert again.has_next
    repeated = again.ask()
    assert repeated.params == failed.params
    again.tell(repeated, 0.1, "COMPLETE")
    assert not again.has_next
    assert [trial.state.name for trial in again.trials] == ["FAIL", "COMPLETE", "COMPLETE"]


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_hopeless_trial_is_pruned_and_a_good_one_is_not(tmp_path: Path, pruner: str) -> None:
    study = Study(_sweep("random", pruner=pruner), "s", tmp_path / "study")
    for number in range(8):
        trial = study.ask()
        for epoch in range(1, 11):
            study.report(trial, epoch, 0.8 + number / 100)
        study.tell(trial, 0.8 + number / 100, "COMPLETE")
    bad, good = study.ask(), study.ask()
    assert any(study.report(bad, epoch, 0.1) for epoch in range(1, 6))
    assert not any(study.report(good, epoch, 0.99) for epoch in range(1, 6))


def test_importances_need_three_trials_with_different_goals(tmp_path: Path) -> None:
    study = Study(_sweep("random"), "s", tmp_path / "study")
    _finish(study, 2)
    assert study.importances() == {}
    _finish(study, 12)
    found = study.importances()
    assert next(iter(found)) == "learning_rate"
    assert sum(found.values()) == pytest.approx(1)


def test_a_study_may_be_in_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORAGE, f"sqlite:///{tmp_path / 'study.db'}")
    proposed = _finish(Study(_sweep("random"), "s", tmp_path / "none"), 2)
    assert proposed + _finish(Study(_sweep("random"), "s", tmp_path / "none"), 1) == _finish_in_file(tmp_path, 3)
    assert not (tmp_path / "none").exists()


def _finish_in_file(tmp_path: Path, count: int) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(STORAGE)
        return _finish(Study(_sweep("random"), "s", tmp_path / "file"), count)


def test_a_database_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STORAGE, f"sqlite:///{tmp_path}/absent/study.db?password=hidden")
    with pytest.raises(UserError, match="Optuna can't open the study") as error:
        Study(_sweep("random"), "s", tmp_path / "none")
    assert "hidden" not in str(error.value)
