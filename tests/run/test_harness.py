import os
import time
from pathlib import Path

import pytest

import _stage
from reprocnn.errors import UserError


def _raising(error: BaseException) -> object:
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UserError("what was found", "what to do"), "error: what was found\n  fix: what to do"),
        (
            OSError(28, "No space left on device", "data/a.npy"),
            "error: No space left on device (data/a.npy)\n  fix: free disk space",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "a.npy"),
            "error: No such file or directory (a.npy)\n  fix: dvc repro",
        ),
        (MemoryError(), "error: not enough memory\n  fix: close other programs"),
        (PermissionError(13, "Permission denied", "a.npy"), "error: Permission denied (a.npy)\n  fix: give this user"),
    ],
)
def test_an_error_that_the_user_can_fix_gives_two_lines(error: Exception, expected: str) -> None:
    with pytest.raises(SystemExit) as ended:
        _stage.run("download", _raising(error))  # type: ignore[arg-type]
    assert str(ended.value.code).startswith(expected)
    assert len(str(ended.value.code).splitlines()) == 2


def test_ctrl_c_exits_with_130_and_a_bug_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        _stage.run("download", _raising(KeyboardInterrupt()))  # type: ignore[arg-type]
    assert ended.value.code == 130
    with pytest.raises(ZeroDivisionError):
        _stage.run("download", _raising(ZeroDivisionError()))  # type: ignore[arg-type]
    monkeypatch.setenv("REPROCNN_TRACEBACK", "1")
    with pytest.raises(OSError, match="No space"):
        _stage.run("download", _raising(OSError(28, "No space")))  # type: ignore[arg-type]


def test_a_stage_advances_the_mtime_of_params_yaml(here: Path) -> None:
    """Otherwise Git may take a changed file for unchanged, as it has the size and second of the index entry."""
    for mtime in (time.time() - 60, time.time()):
        os.utime("params.yaml", (mtime, mtime))
        _stage.run("download", lambda: None)
        assert int((here / "params.yaml").stat().st_mtime) > int(mtime)


def test_a_failing_stage_advances_the_mtime_too(here: Path) -> None:
    os.utime("params.yaml", (1, 1))
    with pytest.raises(SystemExit):
        _stage.run("download", _raising(UserError("what was found", "what to do")))  # type: ignore[arg-type]
    assert (here / "params.yaml").stat().st_mtime > 1
