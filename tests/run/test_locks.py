import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from checkouts import ROOT
from reprocnn.run.locks import exclusive

ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'stages'}", "DVC_STAGE": "train"}
HOLD = """
import sys, time
from pathlib import Path
from reprocnn.run.locks import exclusive
with exclusive(Path('a.lock'), 'holds it'):
    print('has it', flush=True)
    time.sleep(float(sys.argv[1]))
"""


def _start_holder(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(seconds)]
    return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def test_a_second_process_names_the_holder_and_waits(tmp_path: Path) -> None:
    with _start_holder(tmp_path, 60) as first:
        assert first.stdout
        assert first.stdout.readline() == "has it\n"
        with _start_holder(tmp_path, 0) as second:
            assert second.stdout
            printed = second.stdout.readline()
            assert f"another process (ID {first.pid}) holds it; waiting" in printed
            assert second.poll() is None
            first.kill()  # the operating system releases the lock
            assert second.stdout.readline() == "has it\n"
            assert second.wait(10) == 0


def test_the_lock_is_released_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "a.lock", "holds it"):
            assert (tmp_path / "a.pid").read_text() == str(os.getpid())
    assert not (tmp_path / "a.pid").exists()


def test_a_stage_exits_when_its_dvc_is_killed(tmp_path: Path) -> None:
    """Start the stage through a shell, as dvc does, and kill the process in the role of dvc with SIGKILL."""
    stage = "import _stage, time; _stage.run('train', lambda: (print('runs', flush=True), time.sleep(60)))"
    (tmp_path / "stage.py").write_text(stage)
    dvc = f"import subprocess; subprocess.run('{sys.executable} stage.py; true', shell=True)"
    command = [sys.executable, "-c", dvc]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "runs\n"
        number = int((tmp_path / ".dvc/tmp/stage.pid").read_text())
        process.send_signal(signal.SIGKILL)
        process.wait()
        for _ in range(100):
            if not psutil.pid_exists(number):
                break
            time.sleep(0.1)
        assert not psutil.pid_exists(number)
        assert "the dvc process has exited" in process.stdout.read()
    assert not (tmp_path / ".dvc/tmp/stage.pid").exists()  # it cleaned up


def test_a_stage_exits_when_its_dvc_is_killed_during_the_imports(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text("import _stage, time; print('imports', flush=True); time.sleep(60)")
    dvc = f"import subprocess; subprocess.run('{sys.executable} stage.py; true', shell=True)"
    command = [sys.executable, "-c", dvc]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "imports\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        start = time.monotonic()
        process.stdout.read()  # returns when the stage has closed the pipe
        assert time.monotonic() - start < 20
