"""Sweeps as a user runs them, with Ray on this machine. Needs the packages of `sweep`."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from checkouts import Checkout
from reprocnn.commands.sweep.settings import read_sweep
from reprocnn.commands.sweep.study import Study
from reprocnn.params import read_params

pytestmark = pytest.mark.sweep
RATES = """
trials: {trials}
sampler: {sampler}
params: {{epochs: {epochs}, threads: 1, robustness: false}}
cpus: 1
space:
  learning_rate: {rates}
"""


def _write(checkout: Checkout, *, trials: int = 2, epochs: int = 1, rates: str = "[0.001, 0.002]") -> None:
    sampler = "grid" if rates.startswith("[") else "random"
    text = RATES.format(trials=trials, sampler=sampler, epochs=epochs, rates=rates)
    (checkout.folder / "sweep.yaml").write_text(text)


def _refs(checkout: Checkout) -> list[str]:
    listed = checkout.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return sorted(ref.split("/")[-1] for ref in listed if "/sweep-" in ref)


def _cached(checkout: Checkout) -> set[str]:
    return {str(file) for file in (checkout.folder / ".dvc/cache/files").rglob("*") if file.is_file()}


def _runs(checkout: Checkout) -> dict[str, dict[str, object]]:
    """The MLflow runs of the sweep, by name; two of one name would be a fault."""
    runs = [run for run in checkout.runs() if run["name"].startswith("sweep-")]
    assert len({run["name"] for run in runs}) == len(runs), runs
    return {run["name"]: run for run in runs}


def test_a_sweep_gives_experiments_and_runs_and_a_later_call_adds_trials(checkout: Checkout) -> None:
    _write(checkout, trials=1)
    before = checkout.run("git", "status", "--porcelain")
    printed = checkout.reprocnn("sweep", "sweep.yaml")
    assert "1 trials complete, 0 pruned, 0 failed" in printed
    assert "threads=1" in printed

    _write(checkout, trials=9)  # the grid has two combinations
    printed = checkout.reprocnn("sweep", "sweep.yaml")
    assert "continuing: 1 of 1 trials are complete" in printed
    assert "2 trials complete, 0 pruned, 0 failed" in printed
    [name] = set(re.findall(r"sweep (sweep-\w+):", printed))
    assert _refs(checkout) == [f"{name}-000", f"{name}-001"]
    assert checkout.run("git", "status", "--porcelain") == before
    assert not (checkout.folder / ".dvc/tmp/reprocnn/sweeps" / name).exists()

    runs = _runs(checkout)
    parent = runs.pop(name)
    assert parent["status"] == "FINISHED"
    assert {"history.png", "trials.csv", "sweep.yaml"} <= set(parent["files"])  # type: ignore[arg-type]
    for run in runs.values():
        assert run["status"] == "FINISHED"
        assert run["tags"]["mlflow.parentRunId"] == parent["id"]  # type: ignore[index]
        assert "report.html" in run["files"]  # type: ignore[operator]
        assert "test_accuracy" in run["metrics"]  # type: ignore[operator]
    best = re.search(r"best: (\S+), ", printed)[1]  # type: ignore[index]
    checkout.run("dvc", "exp", "apply", best)
    assert "learning_rate: 0.00" in checkout.run("git", "diff", "params.yaml")
    assert "up to date" in checkout.run("dvc", "repro")


def test_a_hopeless_trial_leaves_no_experiment_and_nothing_in_the_cache(checkout: Checkout) -> None:
    _write(checkout, trials=6, epochs=400, rates="{low: 9, high: 10}")
    _add_good_trials(checkout, 5)
    before = _cached(checkout)
    printed = checkout.reprocnn("sweep", "sweep.yaml")
    assert re.search(r"-005  pruned after epoch \d+", printed), printed
    assert _refs(checkout) == []
    assert _cached(checkout) == before
    assert not [file for file in (checkout.folder / ".dvc/tmp/reprocnn/checkpoints").glob("*") if file.is_dir()]
    pruned = next(run for name, run in _runs(checkout).items() if name.endswith("-005"))
    assert pruned["tags"]["sweep.trial"].startswith("pruned after epoch")  # type: ignore[index]
    assert pruned["status"] == "KILLED"


def _add_good_trials(checkout: Checkout, count: int) -> None:
    """Tell the study of the sweep of trials that reached 99 % in each epoch."""
    commit = checkout.run("git", "rev-parse", "HEAD").strip()
    base = read_params(checkout.folder / "params.yaml")
    settings = read_sweep(checkout.folder / "sweep.yaml", base)
    name = f"sweep-{settings.identity(commit, base)}"
    study = Study(settings, name, checkout.folder / f".dvc/tmp/reprocnn/sweeps/{name}.journal")
    for _ in range(count):
        trial = study.ask()
        for epoch in range(1, 401):
            trial.report(0.99, epoch)
        study.tell(trial, 0.99, "COMPLETE")


def _start(checkout: Checkout) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "reprocnn", "sweep", "sweep.yaml"],
        cwd=checkout.folder,
        env=Checkout.environment() | {"PYTHONPATH": str(checkout.folder / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _wait_for_epoch(checkout: Checkout, number: int) -> None:
    """Wait until a trial has finished an epoch."""
    deadline = time.monotonic() + 300
    wanted = f'"epoch": {number},'
    while time.monotonic() < deadline:
        for journal in (checkout.folder / ".dvc/tmp/reprocnn/journals").glob("*.jsonl"):
            text = journal.read_text()
            if '"sweep-' in text and wanted in text:
                return
        time.sleep(0.1)
    raise AssertionError("no epoch ended within 300 s")


def _left(checkout: Checkout) -> list[str]:
    """The processes that work in the clones of trials."""
    clones = str(checkout.folder / ".dvc/tmp/reprocnn/sweeps")
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        if (process.info["cwd"] or "").startswith(clones):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_was_stopped_or_killed_continues_its_trial(checkout: Checkout, number: signal.Signals) -> None:
    _write(checkout, trials=1, epochs=25, rates="[0.001, 0.002]")
    with _start(checkout) as process:
        _wait_for_epoch(checkout, 3)
        os.kill(process.pid, number)
        printed = process.communicate()[0]
    if number == signal.SIGINT:
        assert process.returncode == 130, printed
        assert "stopping; the same command continues the sweep" in printed
    deadline = time.monotonic() + 60
    while (left := _left(checkout)) and time.monotonic() < deadline:  # after SIGKILL they end by themselves
        time.sleep(0.2)
    assert not left

    printed = checkout.reprocnn("sweep", "sweep.yaml")
    assert "1 trials complete, 0 pruned, 0 failed" in printed
    [name] = _refs(checkout)
    run = _runs(checkout)[name]
    assert run["epochs"] == list(range(1, 26))
    assert run["status"] == "FINISHED"


def test_uncommitted_changes_are_refused_before_anything_starts(checkout: Checkout, tmp_path: Path) -> None:
    _write(checkout)
    checkout.edit("params.yaml", "epochs: 1", "epochs: 3")
    printed = checkout.reprocnn("sweep", "sweep.yaml", fails=True)
    assert printed.startswith("error: trials run the last commit, and it lacks changes of the workspace: params.yaml")
    assert not (checkout.folder / ".dvc/tmp/reprocnn/sweeps").exists()


def test_a_cluster_needs_a_server_and_remotes_and_all_that_lacks_is_said_at_once(checkout: Checkout) -> None:
    _write(checkout)
    printed = checkout.reprocnn("sweep", "sweep.yaml", "--address", "auto", fails=True)
    assert "a tracking server" in printed
    assert "a Git remote" in printed
    assert "a default DVC remote" in printed
    assert "Traceback" not in printed


def test_a_trial_that_fails_says_why_and_the_sweep_goes_on(checkout: Checkout) -> None:
    """The folder `docs` has images, but no classes."""
    (checkout.folder / "sweep.yaml").write_text(
        "trials: 2\nsampler: grid\ncpus: 1\nparams: {epochs: 1, threads: 1, robustness: false}\n"
        "space: {dataset: [digits, folder], folder: [docs]}\n"
    )
    printed = checkout.reprocnn("sweep", "sweep.yaml")
    assert re.search(r"-00\d  failed: error: ", printed), printed
    assert "1 trials complete, 0 pruned, 1 failed" in printed
    assert len(_refs(checkout)) == 1


@pytest.mark.slow
def test_a_trial_whose_process_dies_again_and_again_fails(checkout: Checkout) -> None:
    checkout.edit("stages/download.py", "import _stage", "import os\n\nos.kill(os.getpid(), 9)\nimport _stage")
    checkout.commit("a stage that dies as if memory were short")
    _write(checkout, trials=1, rates="[0.001]")
    printed = checkout.reprocnn("sweep", "sweep.yaml", fails=True)
    assert printed.count("its process has died; starting it again") == 4
    assert "failed: its process died 5 times at the same place; is the memory too small?" in printed
    assert "0 trials complete, 0 pruned, 1 failed" in printed
    assert _refs(checkout) == []
