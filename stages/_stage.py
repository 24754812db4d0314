"""What every stage needs before anything else; imported first, with the standard library alone.

- The right Python: one with the project's packages, or one line that says which to use.
- The code beside it: in a `--temp` or `--queue` experiment that is the experiment's own `src`, whatever is installed.
- Variables of the shell that are not meant for this project are set aside.
- Errors in two lines, with a non-zero exit, and no traceback for what the user can put right.
- One stage at a time in a workspace, that ends when its dvc does and cleans up when it is told to end.
"""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

_PACKAGES = (
    "dvc",
    "filelock",
    "keras",
    "mlflow",
    "pandas",
    "platformdirs",
    "psutil",
    "pydantic",
    "ruamel",
    "sklearn",
    "tensorflow",
    "tqdm",
)

if not (3, 11) <= sys.version_info[:2] <= (3, 13) or not all(map(find_spec, _PACKAGES)):
    sys.exit(
        f"error: {sys.executable} (Python {sys.version.split()[0]}) is not this project's Python: "
        "run `make setup` once, then `source .venv/bin/activate`, then dvc again"
    )

from reprocnn import environment  # noqa: E402

environment.prepare()  # before the libraries read them

from reprocnn.errors import UserError  # noqa: E402
from reprocnn.ledger import git  # noqa: E402
from reprocnn.params import PARAMS  # noqa: E402
from reprocnn.run import locks, orphans  # noqa: E402
from reprocnn.run.state import repository  # noqa: E402

orphans.end_with_dvc()  # before the imports of a stage, which take seconds


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; its errors become exit status 1, its interruption 130, SIGTERM 143."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a class may be called what the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    status: str | int = 0
    try:
        with locks.exclusive(Path(".dvc/tmp/stage.lock"), "runs a stage in this workspace"):
            main()
    except UserError as error:
        status = str(error)
    except OSError as error:  # disk full, no permission, ...
        if os.environ.get("REPROCNN_TRACEBACK"):
            raise
        where = f" ({error.filename})" if error.filename else ""
        status = (
            f"error: {error.strerror or error}{where}\n"
            "  fix: see to the disk or the permissions, then run dvc again; "
            "REPROCNN_TRACEBACK=1 shows where it happened"
        )
    except KeyboardInterrupt:
        status = 130
    finally:
        _tidy()
    if any(thread.name == "tracker" for thread in threading.enumerate()):
        _leave(status)
    if status:
        sys.exit(status)


def _tidy() -> None:
    """Let Git see a changed params.yaml, and say where HEAD was left by a `dvc exp run` that was killed."""
    with suppress(OSError):
        _renew(PARAMS)
    in_workspace = repository() == Path.cwd()
    if in_workspace and (branch := git.left_branch(since=orphans.dvc_started())):
        print(
            f"warning: an earlier `dvc exp run` was killed and left HEAD off branch {branch}: a commit now would be on "
            f"no branch; when this run has ended: {git.way_back(branch)}",
            flush=True,
        )


def _renew(file: Path) -> None:
    """Give a file another modification time, to the second, than the one that DVC wrote to Git's index.

    DVC puts params.yaml into the index as it changes it; Git then takes a file of that size and second for unchanged,
    and `git checkout` does not bring the committed one back.
    """
    before = file.stat().st_mtime
    now = time.time()
    os.utime(file, (now, now if int(now) > int(before) else before + 1))


def _leave(status: str | int) -> None:
    """End without waiting for a tracker that does not answer: Python would wait for the threads of its uploads."""
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if isinstance(status, str) else status)
