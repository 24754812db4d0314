"""Gets a published file: from the user's cache, REPROCNN_MIRROR, or the first mirror that has the right bytes.

The hash decides, not the host. A file appears in the cache by rename after it was checked, so that the cache never
holds a part of a file or a wrong one.
"""

import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
from tqdm import tqdm
from urllib3.exceptions import NewConnectionError

from reprocnn.data.progress import progress
from reprocnn.errors import UserError
from reprocnn.files import sha256

CACHE_VARIABLE = "REPROCNN_CACHE"
MIRROR_VARIABLE = "REPROCNN_MIRROR"

ATTEMPTS = 2
"""Tries at each place: a connection may break once."""
TIMEOUT = (10.0, 30.0)
"""Seconds to wait for a connection, and for the next bytes."""


@dataclass(frozen=True)
class Source:
    """A published file.

    Args:
        name: its name, also in a mirror.
        sha256: of the file as published.
        urls: where it is, best first.
        content_sha256: of the decompressed content, where another gzip wrapping of it will do too.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]
    content_sha256: str | None = None


class _NotTheFileError(Exception):
    """What was read is not what was asked for."""


def cache_folder() -> Path:
    """Where downloads are kept: REPROCNN_CACHE, or the platform's cache folder of the user."""
    return _in_checkout(os.environ.get(CACHE_VARIABLE) or str(pooch.os_cache("reprocnn")))


def _in_checkout(path: str) -> Path:
    """An absolute path; a relative one starts at the user's checkout, also in a `--temp` experiment's copy."""
    return Path(os.environ.get("DVC_ROOT", "."), Path(path).expanduser()).resolve()


def fetch(*sources: Source, timeout: tuple[float, float] | None = None) -> Path:
    """Get one of several files that will do, in the cache.

    Tried in turn: the cache, REPROCNN_MIRROR, the mirrors of each source.

    Returns:
        The path of the file; its name is the source's.

    Raises:
        UserError: the cache can't be written, or no place has the file.
    """
    for source in sources:
        cached = cache_folder() / source.sha256[:16] / source.name
        if cached.is_file() and _is_right(cached, source):
            return cached
    failures: list[str] = []
    for source, place in _places(sources):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _get(source, place, timeout or TIMEOUT)
            except (_NotTheFileError, requests.RequestException, *_NO_SUCH_FILE) as error:
                reason, final = _reason(error)
            tries = "" if final else f" ({attempt}/{ATTEMPTS})"
            tqdm.write(f"{source.name}: {_host(place)}: {reason}{tries}")
            if final:
                break
        failures.append(f"{source.name} at {_host(place)} ({reason})")
    raise UserError(
        f"no place has the data: {', '.join(failures)}",
        f"check the network, or set {MIRROR_VARIABLE} to a folder or URL that has "
        f"{' or '.join(s.name for s in sources)}, or use -S dataset=digits, which needs no network",
    )


_NO_SUCH_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def _reason(error: Exception) -> tuple[str, bool]:
    """Why a place did not give the file, and whether it is no use to ask again."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}", error.response.status_code < 500
    if isinstance(error, requests.Timeout):
        return "no answer in time", False
    if isinstance(error, requests.ConnectionError):
        # Nobody there, or no such name: that stays so. A connection that stalls half way is worth another try.
        nobody = isinstance(getattr(error.args[0], "reason", None), NewConnectionError)
        return ("no connection" if nobody else "the connection stalled"), nobody
    if isinstance(error, requests.RequestException):
        return f"the connection broke: {type(error).__name__}", False
    return (error.strerror or str(error) if isinstance(error, OSError) else str(error)), True


def _places(sources: Sequence[Source]) -> Iterator[tuple[Source, str]]:
    """Each source at each place where it may be, best first."""
    if mirror := os.environ.get(MIRROR_VARIABLE):
        if not _is_url(mirror):
            mirror = str(_in_checkout(mirror.removeprefix("file://")))
        yield from ((source, f"{mirror.rstrip('/')}/{source.name}") for source in sources)
    for source in sources:
        yield from ((source, url) for url in source.urls)


def _get(source: Source, place: str, timeout: tuple[float, float]) -> Path:
    """Copy or download from one place to the cache, checked."""
    target = cache_folder() / source.sha256[:16] / source.name
    with _partial(target) as partial:
        if _is_url(place):
            tqdm.write(f"downloading {place}")
            # total=1: pooch asks whether the bar is true, and sets the real total itself. The bytes as they are: a
            # server may otherwise unpack a .gz on the way.
            with progress(1, source.name, unit="B", unit_scale=True) as bar:
                options = {"timeout": timeout, "headers": {"Accept-Encoding": "identity"}}
                download = pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16, **options)
                download(place, str(partial), None)
        else:
            shutil.copyfile(place, partial)
        if not _is_right(partial, source):
            raise _NotTheFileError(_describe(partial))
    return target


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A file of this process's own beside `target`, moved there when the block ends well."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
    except OSError as error:
        raise UserError(
            f"the cache {target.parent} can't be written ({error.strerror})",
            f"set {CACHE_VARIABLE} to a folder that can",
        ) from None
    os.close(descriptor)
    try:
        yield Path(name)
        Path(name).chmod(0o644)  # mkstemp's files are its user's alone; a cache may be shared
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


def _is_right(path: Path, source: Source) -> bool:
    """Whether a file is the source, or another gzip wrapping of the right content."""
    if sha256(path) == source.sha256:
        return True
    return source.content_sha256 is not None and _content_sha256(path) == source.content_sha256


def _content_sha256(path: Path) -> str | None:
    """The sha256 of what a gzip file holds; None where it is not a whole gzip file."""
    try:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error):
        return None


def _describe(path: Path) -> str:
    """What a wrong file looks like."""
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    kind = "a web page" if start.startswith((b"<!doctype", b"<html")) else "other bytes"
    return f"{kind} of {path.stat().st_size:,} bytes, wrong sha256"


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _host(place: str) -> str:
    return place.split("/")[2] if _is_url(place) else str(Path(place).parent)
