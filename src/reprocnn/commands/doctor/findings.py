"""The result of a check, and functions that several checks use."""

import subprocess
import sys
from typing import Literal, NamedTuple

from reprocnn.errors import UserError

_TIMEOUT = 120.0
"""Timeout of a DVC command in seconds; DVC may have to hash new images first."""


class Finding(NamedTuple):
    """The result of a check.

    Args:
        state: `note`: worth knowing; `wrong`: has to be fixed.
        subject: what was checked.
        text: what was found.
        fix: how to fix it, mostly a command; each further line is an alternative. Text after `  # ` is a comment.
    """

    state: Literal["ok", "note", "wrong"]
    subject: str
    text: str
    fix: str = ""


def format_size(n: float) -> str:
    """Format a number of bytes as MB or GB."""
    unit, name = (1e9, "GB") if n >= 1e9 else (1e6, "MB")
    return f"{n / unit:,.1f} {name}"


def first_line(text: str) -> str:
    """Return the first line of a command's output."""
    return text.strip().partition("\n")[0]


def run_dvc(*arguments: str) -> str:
    """Run a DVC command and return its output.

    Raises:
        UserError: the command fails.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    if done.returncode:
        problem = f"`dvc {' '.join(arguments)}` fails: {first_line(done.stderr).removeprefix('ERROR: ')}"
        raise UserError(problem, "fix what DVC names; another finding may show it too")
    return done.stdout
