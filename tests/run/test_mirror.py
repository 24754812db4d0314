import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn.errors import UserError
from reprocnn.run import mirror, state


class Work:
    """Work that counts its calls, and hangs or fails on demand."""

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


def test_the_work_is_done_once_more_after_the_last_event(work: Work) -> None:
    thread = mirror.MirrorThread(work)
    thread.wake()
    before = work.times
    thread.finish()
    assert work.times > before
    assert not thread.is_busy


def test_a_failure_is_reported_once_per_thread(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    work.errors = [UserError("the disk is full", "make room")]
    thread = mirror.MirrorThread(work)
    thread.wake()
    while not work.times:
        time.sleep(0.001)
    thread.finish()
    printed = capsys.readouterr().out
    assert printed.count("the stage continues. the disk is full\n  fix: make room\n") == 1
    work.errors = [UserError("the disk is full", "make room")]
    mirror.MirrorThread(work).finish()
    assert "the disk is full" in capsys.readouterr().out


def test_a_pipeline_waits_only_once_for_a_tracker_that_hangs(
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
    assert not state.silent_tracker().exists()  # it answers again, so the next stage waits the full time


def test_ctrl_c_while_waiting_for_the_tracker_leaves_it_busy(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C ends the wait; the process then exits without waiting for the thread."""
    monkeypatch.setattr(mirror, "_threads", [])
    work.hangs.clear()
    thread = mirror.MirrorThread(work)
    monkeypatch.setattr(thread._ended, "wait", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        thread.finish()
    assert mirror.is_busy()
    work.hangs.set()


def test_a_training_continues_if_the_mirror_cannot_start(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def training(_: str) -> None:
        raise OSError("no folder for temporary files")

    monkeypatch.setattr("reprocnn.ledger.live.Training", training)
    assert type(mirror.follow_training("key-1")) is mirror.NoMirror
    assert "this training is not logged to MLflow: no folder for temporary files" in capsys.readouterr().out


def test_exit_does_not_wait_for_a_thread_that_hangs(tmp_path: Path) -> None:
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


def test_a_ledger_folder_with_only_caches_is_no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import reprocnn

    (tmp_path / "left" / "__pycache__").mkdir(parents=True)
    monkeypatch.setattr(reprocnn, "__path__", [*reprocnn.__path__, str(tmp_path)])
    monkeypatch.setattr(mirror, "_LEDGER", "reprocnn.left")
    assert mirror.settings() == {}
