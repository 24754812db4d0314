"""What every stage needs before anything else; imported first, with the standard library alone.

- The right Python: one with the project's packages, or one line that says which to use.
- The code beside it: in a `--temp` or `--queue` experiment that is the experiment's own `src`, whatever is installed.
- Errors in two lines, with a non-zero exit, and no traceback for what the user can put right.
- One stage at a time in a workspace, that ends when its dvc does and cleans up when it is told to end.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
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

from reprocnn import locks  # noqa: E402
from reprocnn.errors import UserError  # noqa: E402

locks.end_with_dvc()  # before the imports of a stage, which take seconds


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; its errors become exit status 1, its interruption 130, SIGTERM 143."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
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
    if any(thread.name == locks.TRACKER for thread in threading.enumerate()):
        _leave(status)
    if status:
        sys.exit(status)


def _leave(status: str | int) -> None:
    """End without waiting for a tracker that does not answer: Python would wait for the threads of its uploads."""
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if isinstance(status, str) else status)
