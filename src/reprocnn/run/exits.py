"""How a stage or a command ends: exit status, and two lines, not a traceback, for what a user can put right."""

import errno
import os
import signal
import sys
from collections.abc import Callable

from reprocnn.errors import UserError

TRACEBACK_VARIABLE = "REPROCNN_TRACEBACK"
"""If set, an error of the system keeps its traceback."""
_WHERE = f"{TRACEBACK_VARIABLE}=1 shows where it happened"


def exit_on_sigterm() -> None:
    """Make SIGTERM raise SystemExit, with status 143, so that every `finally` runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def status_of(act: Callable[[], None]) -> int | str:
    """Run a stage or a command.

    Returns:
        What to hand to `sys.exit`: 0, an exit status, or the text of an error. Bugs raise, with their traceback.
    """
    try:
        act()
    except UserError as error:
        return str(error)
    except BrokenPipeError:  # whoever read the output has enough
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
    """Return what happened, with the file, and what to do about it, by the kind of the error."""
    problem = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            fix = "make room on the disk, then run it again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            fix = "give this user the right to read and write there, then run it again"
        case errno.ENOENT:
            fix = f"dvc repro makes what a stage lacks, `git status` shows what was deleted; {_WHERE}"
        case errno.EMFILE | errno.ENFILE:
            fix = "allow more open files, for example `ulimit -n 4096`, then run it again"
        case errno.ENOMEM:
            fix = "free memory, or use smaller images or batches, then run it again"
        case _:
            fix = f"put right what the message names, then run it again; {_WHERE}"
    return UserError(problem, fix)
