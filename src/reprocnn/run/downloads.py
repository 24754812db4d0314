"""Choose where downloads are cached and which mirror is tried first."""

import os
import shutil
from pathlib import Path

from platformdirs import user_cache_path

from reprocnn.data.fetch import CACHE_VARIABLE, MIRROR_VARIABLE, Places, is_url
from reprocnn.run.state import READING, repository


def places() -> Places:
    """Return the cache folder (REPROCNN_CACHE, default: the user's cache folder) and the mirror (REPROCNN_MIRROR).

    Relative paths start at the user's checkout, even in a `--temp` or `--queue` experiment, which runs in a copy.
    """
    cache = os.environ.get(CACHE_VARIABLE) or str(user_cache_path("reprocnn"))
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if mirror and not is_url(mirror):
        mirror = str(_absolute(mirror.removeprefix("file://")))
    return Places(_absolute(cache), mirror, READING, repository())


def clear_reading() -> None:
    """Delete the images that were kept while they were read; the splits have them now."""
    shutil.rmtree(READING, ignore_errors=True)


def _absolute(path: str) -> Path:
    return (repository() / Path(path).expanduser()).resolve()
