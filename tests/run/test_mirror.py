import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import ROOT
from reprocnn.errors import UserError
from reprocnn.run import mirror, state


class Work:
    """Notes how often it is done; hangs or fails when told to."""

    timeout, retry_timeout = 5.0, 0.5

    def __init__(self) -> None:
        self.times = 0
        self.errors: list[UserError] = []
        self.hangs = threading.Event()
        self.hangs.set()

    def complete(self) -> None:
        self.hangs.wait()
        self.times += 1
        if self.errors:
            raise self.errors.pop()

    def timeout_error(self, seconds: float) -> UserError:
        return UserError(f"no answer within {seconds:g} s", "see the server")


@pytest.fixture
def work(here: Path) -> Work:
    state.journals().mkdir(parents=True)
    return Work()


def test_the_work_is_done_at_least_once_more_after_the_last_event(work: Work) -> None:
    shown = mirror.MirrorThread(work)
    shown.wake()
    before = work.times
    shown.finish()
    assert work.times > before
    assert not shown.is_busy


def test_a_failure_is_said_once_and_forgotten_when_it_goes_away(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    work.errors = [UserError("the disk is full", "make room")]
    shown = mirror.MirrorThread(work)
    shown.wake()
    while not work.times:
        time.sleep(0.001)
    shown.finish()
    printed = capsys.readouterr().out
    assert printed.count("the stage goes on. the disk is full\n  fix: make room\n") == 1
    work.errors = [UserError("the disk is full", "make room")]
    mirror.MirrorThread(work).finish()
    assert "the disk is full" in capsys.readouterr().out


def test_a_tracker_that_hangs_is_waited_for_once_in_a_pipeline(
    work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "_threads", [])
    work.hangs.clear()
    work.timeout = 1.0
    for seconds in (1.0, 0.5):
        mirror.MirrorThread(work).finish()
        assert f"no answer within {seconds:g} s\n  fix: see the server" in capsys.readouterr().out
    assert mirror.is_busy()
    work.hangs.set()
    mirror.MirrorThread(work).finish()
    assert not state.silent_tracker().exists()  # it answers again, so that the next one is waited for


def test_who_does_not_wait_for_a_tracker_leaves_at_once(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a second Ctrl-C while the stage waits."""
    monkeypatch.setattr(mirror, "_threads", [])
    work.hangs.clear()
    shown = mirror.MirrorThread(work)
    monkeypatch.setattr(shown._ended, "wait", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        shown.finish()
    assert mirror.is_busy()
    work.hangs.set()


def test_a_training_goes_on_where_the_mirror_can_not_start(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def training(_: str) -> None:
        raise OSError("no folder for temporary files")

    monkeypatch.setattr("reprocnn.ledger.live.Training", training)
    assert type(mirror.follow_training("key-1")) is mirror.NoMirror
    assert "MLflow does not see this training: no folder for temporary files" in capsys.readouterr().out


def test_a_process_does_not_wait_for_a_thread_that_hangs(tmp_path: Path) -> None:
    code = (
        "import sys, threading; from reprocnn.run import mirror\n"
        "mirror.is_busy = lambda: True\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "print('said'); mirror.exit_process(sys.argv[1] if sys.argv[2:] else int(sys.argv[1]))\n"
    )
    own = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    for arguments, status, error in ((["3"], 3, ""), (["0"], 0, ""), (["error: x", "text"], 1, "error: x\n")):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (status, "said\n", error)


def test_a_checkout_without_a_ledger_has_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_LEDGER", "reprocnn.no_ledger")
    assert type(mirror.follow_training("key-1")) is mirror.NoMirror
    assert mirror.settings() == {}
    mirror.log_stage("plot")
    mirror.warn_if_head_detached()


def test_caches_of_a_ledger_that_was_removed_are_no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import reprocnn

    (tmp_path / "left" / "__pycache__").mkdir(parents=True)
    monkeypatch.setattr(reprocnn, "__path__", [*reprocnn.__path__, str(tmp_path)])
    monkeypatch.setattr(mirror, "_LEDGER", "reprocnn.left")
    assert mirror.settings() == {}
