"""A progress bar for long operations."""

import os
from typing import Any

from tqdm import tqdm


def progress(total: int | None, what: str, **options: Any) -> "tqdm[Any]":
    """Return a progress bar. In a log file it prints a line every ten seconds, and nothing if it ends sooner.

    Args:
        total: the number of steps; None if unknown.
        what: the text in front of the bar.
        **options: more options of tqdm.
    """
    is_terminal = os.isatty(2)
    interval = 0.2 if is_terminal else 10.0
    return tqdm(total=total, desc=what, mininterval=interval, delay=0 if is_terminal else interval, **options)
