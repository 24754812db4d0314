"""What a trial takes for killed, so that it is repeated, and what for an error; what it removes before."""

import subprocess
import sys
from pathlib import Path

import pytest

from checkouts import Checkout
from reprocnn.commands.sweep.trial import remove_clone, was_killed


@pytest.mark.parametrize(
    ("command", "expected"),
    [("kill -9 $$", True), ("exit 143", True), ("exit 1", False)],
)
def test_dvc_says_how_a_stage_ended(tmp_path: Path, command: str, expected: bool) -> None:
    for line in ("git init -q", "dvc init -q"):
        subprocess.run(line.split(), cwd=tmp_path, check=True, env=Checkout.environment())
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  train:\n    cmd: {command}\n")
    run = [sys.executable, "-m", "dvc", "repro"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env=Checkout.environment())
    assert done.returncode == 255
    assert was_killed(done.returncode, done.stdout + done.stderr) is expected


@pytest.mark.parametrize(("status", "expected"), [(-9, True), (-15, True), (137, True), (1, False), (128, False)])
def test_the_status_of_a_process_itself(status: int, expected: bool) -> None:
    assert was_killed(status) is expected


def test_what_survived_a_killed_attempt_ends_before_its_clone_is_removed(tmp_path: Path) -> None:
    clone = tmp_path / "trial-000.abc" / "clone"
    clone.mkdir(parents=True)
    processes = [subprocess.Popen(["sleep", "60"], cwd=folder) for folder in (clone, tmp_path)]
    remove_clone(clone.parent)
    ended = [process.poll() is not None for process in processes]
    for process in processes:
        process.kill()
        process.wait()
    assert ended == [True, False]
    assert list(tmp_path.iterdir()) == []
