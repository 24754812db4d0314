"""Choose the exit status of a stage or command, and report errors that a user can fix in two lines."""

import errno
import os
import signal
import sys
from collections.abc import Callable

from reprocnn.errors import UserError

TRACEBACK_VARIABLE = "REPROCNN_TRACEBACK"
"""If this variable is set, an OSError is shown with its traceback."""
_WHERE = f"{TRACEBACK_VARIABLE}=1 shows where it happened"


def exit_on_sigterm() -> None:
    """Make SIGTERM raise SystemExit, with status 143, so that every `finally` runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def status_of(act: Callable[[], None]) -> int | str:
    """Run a stage or a command.

    Returns:
        The argument for `sys.exit`: 0, an exit status, or an error message.

    Raises:
        Exception: a bug; it keeps its traceback.
    """
    try:
        act()
    except UserError as error:
        return str(error)
    except BrokenPipeError:  # the reader of the output has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        return str(explain(error))
    except KeyboardInterrupt:
        return 130
    except SystemExit as ended:
        return ended.code or 0
    return 0


def explain(error: OSError) -> UserError:
    """Turn an error of the operating system into a UserError with the file and a fix."""
    problem = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            fix = "free disk space, then run it again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            fix = "give this user read and write permission there, then run it again"
        case errno.ENOENT:
            fix = f"`dvc repro` makes missing inputs, `git status` shows deleted files; {_WHERE}"
        case errno.EMFILE | errno.ENFILE:
            fix = "allow more open files, for example `ulimit -n 4096`, then run it again"
        case errno.ENOMEM:
            fix = "free memory, or use smaller images or batches, then run it again"
        case _:
            fix = f"fix what the message names, then run it again; {_WHERE}"
    return UserError(problem, fix)
