"""Where downloads are kept and looked for, as environment variables and the platform say."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from reprocnn.data.fetch import CACHE_VARIABLE, MIRROR_VARIABLE, Places, is_url
from reprocnn.run.state import repository


def places() -> Places:
    """Return REPROCNN_CACHE, by default the user's cache folder, and REPROCNN_MIRROR.

    Relative paths start at the user's checkout, also in a `--temp` or `--queue` experiment's copy of it.
    """
    cache = os.environ.get(CACHE_VARIABLE) or str(user_cache_path("reprocnn"))
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if mirror and not is_url(mirror):
        mirror = str(_absolute(mirror.removeprefix("file://")))
    return Places(_absolute(cache), mirror)


def _absolute(path: str) -> Path:
    return (repository() / Path(path).expanduser()).resolve()
