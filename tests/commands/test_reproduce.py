"""Check out what made an MLflow run, in a repository without data."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reprocnn import cli
from reprocnn.ledger import git, store
from reprocnn.ledger.git import Changes
from reprocnn.ledger.mirror import Mirror
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG, NO_EXPERIMENT
from reprocnn.ledger.record import Record, params_of

pytestmark = pytest.mark.usefixtures("empty_store")

MODEL = "f0" * 16
NONE = {EXPERIMENT_TAG: NO_EXPERIMENT, BASELINE_TAG: NO_EXPERIMENT}
Git = Callable[..., str]


@pytest.fixture
def run_git(here: Path) -> Git:
    """Return a function that runs git in a repository with one commit."""

    def run(*command: str) -> str:
        user = ("-c", "user.email=test@example.org", "-c", "user.name=test")
        return subprocess.run(["git", *user, *command], check=True, capture_output=True, text=True).stdout.strip()

    (here / ".gitignore").write_text("/mlflow.db*\n/mlartifacts\n/.dvc\n/cache\n/there\n")
    run("init", "-q", "-b", "main")
    run("add", "-A")
    run("commit", "-qm", "start")
    return run


def _edit(old: str, new: str, file: str = "params.yaml") -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


def _make_run(origin: dict[str, str], changes: Changes | None = None) -> str:
    """Make an MLflow run with the params in the working directory; return its ID."""
    made = Record("a run", origin, 1.0, 2.0, "FINISHED", params=params_of(Path()), model_md5=MODEL)
    made.changes = changes or Changes()
    mirror = Mirror(*store.connect(), None)
    mirror.complete(made)
    return str(mirror.run_id)


def _reproduce(run: str, capsys: pytest.CaptureFixture[str]) -> str:
    cli.main(["reproduce", run[:12], "--folder", "there"])
    return capsys.readouterr().out


def test_an_experiment_is_checked_out(here: Path, run_git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = run_git("rev-parse", "HEAD")
    _edit("epochs: 10", "epochs: 2")
    run_git("commit", "-qam", "as dvc exp run commits")
    run_git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/two", "HEAD")
    run = _make_run({EXPERIMENT_TAG: "two", BASELINE_TAG: baseline, "git.commit": baseline})
    commit = run_git("rev-parse", "HEAD")
    run_git("reset", "-q", "--hard", baseline)
    printed = _reproduce(run, capsys)
    assert f"a DVC experiment, commit {commit[:7]}" in printed
    assert f"python -m reprocnn verify {commit}" in printed
    assert "epochs: 2 " in (here / "there" / "params.yaml").read_text()


def test_a_committed_result_is_found_by_its_model(here: Path, run_git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    """The run was made with uncommitted changes, which were committed later together with dvc.lock."""
    before = run_git("rev-parse", "HEAD")
    _edit("epochs: 10", "epochs: 2")
    run = _make_run(NONE | {"git.commit": before, "git.dirty": "true"})
    Path("dvc.lock").write_text(f"md5: {MODEL}\n")
    run_git("add", "-A")
    run_git("commit", "-qm", "result")
    commit = run_git("rev-parse", "HEAD")
    _edit("epochs: 2", "epochs: 3")
    run_git("commit", "-qam", "other params, with the lock of before")
    printed = _reproduce(run, capsys)
    assert f"its model is in the dvc.lock of commit {commit[:7]}" in printed
    assert f"models/model.keras then has the md5 {MODEL}" in printed
    assert "epochs: 2 " in (here / "there" / "params.yaml").read_text()


def test_the_commit_of_a_run_without_uncommitted_changes_is_checked_out(
    here: Path, run_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = run_git("rev-parse", "HEAD")
    run = _make_run(NONE | {"git.commit": commit, "git.dirty": "false"})
    _edit("epochs: 10", "epochs: 2")
    run_git("commit", "-qam", "later")
    assert f"made by commit {commit[:7]} without uncommitted changes" in _reproduce(run, capsys)
    assert "epochs: 10" in (here / "there" / "params.yaml").read_text()


def test_uncommitted_changes_are_applied(here: Path, run_git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    """Also if a changed line looks like the name of a new file."""
    _edit("epochs: 10", "epochs: 2")
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# new file: none\n\n# token: ***\n")
    Path("new.py").write_text("")
    changes = git.uncommitted()
    run = _make_run(NONE | {"git.commit": run_git("rev-parse", "HEAD"), "git.dirty": "true"}, changes)
    made = Path("params.yaml").read_text()
    Path("new.py").unlink()
    run_git("checkout", "-q", ".")
    printed = _reproduce(run, capsys)
    assert "with uncommitted changes, which are applied" in printed
    assert re.findall("warning: (.*)", printed) == [
        "the content of a new, uncommitted file is not known: new.py",
        "the changes contain masked secrets",
    ]
    assert "verify" not in printed
    assert (here / "there" / "params.yaml").read_text() == made


def test_changes_that_are_missing_or_do_not_apply_are_reported(
    here: Path, run_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = NONE | {"git.commit": run_git("rev-parse", "HEAD"), "git.dirty": "true"}
    assert "warning: the run has no uncommitted.diff; its params are: " in _reproduce(_make_run(origin), capsys)
    wrong = _make_run(origin, Changes("--- a/params.yaml\n+++ b/params.yaml\n@@ -1 +1 @@\n-not there\n+there\n"))
    with pytest.raises(SystemExit, match=r"do not apply in (?s:.*)\n  fix: apply uncommitted.diff of run"):
        cli.main(["reproduce", wrong, "--folder", "elsewhere"])


def test_a_missing_commit_and_an_unknown_run_are_reported(here: Path, run_git: Git) -> None:
    run = _make_run({EXPERIMENT_TAG: "two", BASELINE_TAG: "b" * 40, "git.commit": "b" * 40})
    with pytest.raises(SystemExit, match=r"b{40}, is not in this repository\n  fix: .* dvc exp pull origin two"):
        cli.main(["reproduce", run])
    with pytest.raises(SystemExit, match="0 runs in"):
        cli.main(["reproduce", "zzz"])
