"""The file of a sweep is checked before anything starts."""

import re
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn.commands.sweep.settings import Range, Sweep, read_sweep
from reprocnn.errors import UserError
from reprocnn.params import read_params

BASE = read_params(ROOT / "params.yaml")
SHORT = """
goal: validation_accuracy
direction: maximize
trials: 6
sampler: tpe
space:
  learning_rate: {low: 0.0003, high: 0.003, log: true}
  batch_size: [16, 32, 64]
"""


def _read(tmp_path: Path, text: str) -> Sweep:
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    return read_sweep(file, BASE)


def test_the_file_of_the_documentation_is_read(tmp_path: Path) -> None:
    sweep = _read(tmp_path, SHORT)
    assert (sweep.trials, sweep.sampler, sweep.prunes) == (6, "tpe", "median")
    assert sweep.space == {"learning_rate": Range(low=0.0003, high=0.003, log=True), "batch_size": [16, 32, 64]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials", "trails", "unknown key `trails`\n  fix: did you mean `trials`?"),
        ("space:", "spice:", "unknown key `spice`\n  fix: did you mean `space`?"),
        ("trials: 6", "trials: 0", "trials: found 0, input should be greater than or equal to 1"),
        ("trials: 6", "trials: six", "trials: found 'six'"),
        ("trials: 6\n", "", "nothing ends the sweep\n  fix: add `trials: 20`, or `hours: 2`"),
        ("validation_accuracy", "test_accuracy", "models are not chosen by the test split"),
        ("validation_accuracy", "accuracy", "goal: found 'accuracy'\n  fix: choose one of: validation_loss"),
        ("maximize", "highest", "direction: found 'highest', input should be 'maximize' or 'minimize'"),
        ("learning_rate", "lr", "unknown key `lr`"),
        ("batch_size: [16, 32, 64]", "batch_size: [16, many]", "batch_size: found 'many'"),
        ("batch_size: [16, 32, 64]", "batch_size: []", "space: batch_size is empty"),
        ("[16, 32, 64]", "[16, 16]", "has a value twice"),
        ("[16, 32, 64]", "16", "space: batch_size: found 16\n  fix: expected a list of values, or {low: 1, high: 8}"),
        ("[16, 32, 64]", "{low: 16.5, high: 64}", "batch_size takes whole numbers"),
        ("low: 0.0003", "low: 0.3", "is not below high"),
        ("low: 0.0003", "low: 0", "log: true needs a low above 0"),
        ("high: 0.003", "high: 30", "learning_rate: found 30"),
        ("high: 0.003", "hihg: 0.003", "space: learning_rate: found"),
        ("sampler: tpe", "sampler: cmaes", "is a list, and the sampler cmaes only takes ranges"),
        ("sampler: tpe", "sampler: grid", "the sampler grid needs a list, or a `step`"),
        ("sampler: tpe", "sampler: tpe\nparams: {batch_size: 8}", "batch_size is both in params and in space"),
        ("sampler: tpe", "sampler: tpe\nparams: {epochs: [1]}", "params: epochs: found [1]\n  fix: expected one value"),
        ("sampler: tpe", "sampler: tpe\nparams: {momentum: 0.8}", "adam has no momentum"),
        ("batch_size: [16, 32, 64]", "depth: [20, 32]", "deep_cnn does not support depth, found depth: 20"),
        ("goal: validation_accuracy", "goal: mflops\npruner: halving", "needs a goal that each epoch has"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SHORT
    with pytest.raises(UserError, match=re.escape(message)) as error:
        _read(tmp_path, SHORT.replace(old, new))
    assert "sweep.yaml" in error.value.problem


def test_a_missing_file_and_one_that_is_not_yaml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent.yaml is missing"):
        read_sweep(tmp_path / "absent.yaml", BASE)
    with pytest.raises(UserError, match="not YAML"):
        _read(tmp_path, "space: {a: [1, 2")


def test_cmaes_needs_two_parameters(tmp_path: Path) -> None:
    text = "trials: 3\nsampler: cmaes\nspace: {learning_rate: {low: 0.1, high: 0.2}}"
    with pytest.raises(UserError, match="at least two parameters"):
        _read(tmp_path, text)


def test_values_in_steps_have_no_rounding_errors() -> None:
    assert Range(low=0.1, high=0.3, step=0.1).values() == [0.1, 0.2, 0.3]
    assert Range(low=1, high=7, step=3).values() == [1, 4, 7]


def test_the_identity_depends_on_what_makes_trials_comparable(tmp_path: Path) -> None:
    sweep = _read(tmp_path, SHORT)
    more = _read(tmp_path, SHORT.replace("trials: 6", "trials: 9\ngpus: 1"))
    other = _read(tmp_path, SHORT.replace("64", "128"))
    base = {"threads": 0}
    assert sweep.identity("a", base) == more.identity("a", base) != other.identity("a", base)
    assert sweep.identity("a", base) != sweep.identity("b", base)


def test_the_cores_of_a_trial_count_where_they_are_its_threads(tmp_path: Path) -> None:
    one, two = (_read(tmp_path, SHORT.replace("trials: 6", f"trials: 6\ncpus: {cpus}")) for cpus in (1, 2))
    assert one.identity("a", {"threads": 0}) != two.identity("a", {"threads": 0})
    assert one.identity("a", {"threads": 4}) == two.identity("a", {"threads": 4})


def test_a_large_space_is_checked_by_samples(tmp_path: Path) -> None:
    values = list(range(1, 300))
    text = f"trials: 3\nspace: {{batch_size: {values}, epochs: {values}, seed: {values}}}"
    assert len(_read(tmp_path, text).space) == 3
