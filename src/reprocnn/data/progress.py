"""Show the progress of long work."""

import os
from typing import Any

from tqdm import tqdm


def progress(total: int | None, what: str, **options: Any) -> "tqdm[Any]":
    """Return a progress bar; in a log file it prints one line per ten seconds, and none for short work."""
    terminal = os.isatty(2)
    pace = 0.2 if terminal else 10.0
    return tqdm(total=total, desc=what, mininterval=pace, delay=0 if terminal else pace, **options)
