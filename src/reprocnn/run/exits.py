"""Turn the end of a stage or command into an exit status.

Errors that the user can fix become two lines of text without a traceback.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable

from reprocnn.errors import UserError
from reprocnn.masking import masked_message

TRACEBACK_VARIABLE = "REPROCNN_TRACEBACK"
"""If set, an OSError keeps its traceback."""
_TRACEBACK_HINT = f"{TRACEBACK_VARIABLE}=1 shows the traceback"


def exit_on_sigterm() -> None:
    """Make SIGTERM raise SystemExit with status 143, so that every `finally` block runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run(action: Callable[[], None]) -> int | str:
    """Run a stage or a command, and catch everything but bugs.

    Returns:
        The argument for `sys.exit`: 0, an exit status, or the text of an error, in which secrets are masked.
    """
    try:
        action()
    except UserError as error:
        return masked_message(str(error))
    except BrokenPipeError:  # the reader of the output is gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        return masked_message(str(explain(error)))
    except MemoryError:
        return str(UserError("not enough memory", "close other programs, or use smaller images or batches"))
    except KeyboardInterrupt:
        return 130
    except SystemExit as ended:
        return ended.code or 0
    return 0


def explain(error: OSError) -> UserError:
    """Convert an error of the system to a UserError with the file and a fix for this kind of error."""
    problem = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            fix = "free disk space, then run it again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            fix = "give this user read and write permission there, then run it again"
        case errno.ENOENT:
            fix = f"dvc repro makes missing outputs, `git status` shows deleted files; {_TRACEBACK_HINT}"
        case errno.EMFILE | errno.ENFILE:
            fix = "allow more open files, for example `ulimit -n 4096`, then run it again"
        case errno.ENOMEM:
            fix = "free memory, or use smaller images or batches, then run it again"
        case _:
            fix = f"fix what the message names, then run it again; {_TRACEBACK_HINT}"
    return UserError(problem, fix)
