"""What a check found, and what checks share."""

import subprocess
import sys
from typing import Literal, NamedTuple

from reprocnn.errors import UserError

_SECONDS = 120.0
"""For an answer of DVC's, which hashes the images that it does not know yet."""


class Finding(NamedTuple):
    """What a check found.

    Args:
        state: `note` is worth knowing, `wrong` has to be put right.
        subject: what was looked at.
        text: what was found.
        fix: what to do about it; each further line is another way. `  # ` comes before what is no command.
    """

    state: Literal["ok", "note", "wrong"]
    subject: str
    text: str
    fix: str = ""


def size(n: float) -> str:
    """A number of bytes, to be read."""
    unit, name = (1e9, "GB") if n >= 1e9 else (1e6, "MB")
    return f"{n / unit:,.1f} {name}"


def first_line(text: str) -> str:
    """The first line of what a command printed."""
    return text.strip().partition("\n")[0]


def dvc(*arguments: str) -> str:
    """What a command of DVC's prints.

    Raises:
        UserError: it fails.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        problem = f"`dvc {' '.join(arguments)}` fails: {first_line(done.stderr).removeprefix('ERROR: ')}"
        raise UserError(problem, "mend what it names, which may be in another line of these")
    return done.stdout
