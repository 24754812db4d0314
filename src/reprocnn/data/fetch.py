"""Fetch a published file from the cache, the user's mirror or a published URL, and check its hash.

A file is renamed into the cache only after its hash was checked, so the cache never has a partial or a wrong file.
Only one process at a time downloads a file; others that need it wait.
"""

import gzip
import hashlib
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm
from urllib3.exceptions import HTTPError as StreamError
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from reprocnn.data.progress import progress
from reprocnn.errors import UserError

CACHE_VARIABLE = "REPROCNN_CACHE"
MIRROR_VARIABLE = "REPROCNN_MIRROR"

ATTEMPTS = 2
"""Attempts per URL."""
TIMEOUT = (10.0, 30.0)
"""Seconds to wait for a connection, and seconds to wait for the next bytes."""
MIN_SPEED = 2000
"""Abort a download that is slower than this, in bytes per second; CIFAR-10 would take a day."""
SPEED_WINDOW = 60.0
"""Measure the speed over this many seconds."""


@dataclass(frozen=True)
class Source:
    """A published file.

    Args:
        name: the file name, in the cache and in a mirror.
        sha256: hash of the published file, in hex.
        urls: where to download it, best first.
        content_sha256: hash of the decompressed content. If given, a gzip file with this content is accepted, too,
            however it was compressed.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]
    content_sha256: str | None = None


class _UnusableError(Exception):
    """A wrong file, or a download that is too slow."""


@dataclass(frozen=True)
class Places:
    """The download cache and the user's mirror.

    Args:
        cache: the folder where downloads are kept.
        mirror: a URL or an absolute folder with the files under their published names, tried before the published
            URLs; empty if there is none.
        reading: the folder where the images of `dataset: folder` are kept while they are read.
        checkout: the user's checkout, also in an experiment that works in a copy of it.
    """

    cache: Path
    mirror: str = ""
    reading: Path = Path()
    checkout: Path = Path()


def fetch(places: Places, *sources: Source, timeout: tuple[float, float] | None = None) -> Path:
    """Return the path of a file in the cache; download it if it isn't there.

    Looks in the cache first, then in the user's mirror, then at the URLs of each source.

    Args:
        places: the cache and the user's mirror.
        *sources: alternative files, best first; any one of them is enough.
        timeout: seconds to wait for a connection, and for the next bytes; None for `TIMEOUT`.

    Returns:
        The path of the file in the cache; the file name tells which source it is.

    Raises:
        UserError: the cache can't be written, or no download succeeded.
    """
    if cached := _find_cached(places.cache, sources):
        return cached
    with _lock_folders(places.cache, sources):
        # Look again: another process may have downloaded it while this one waited for the lock.
        return _find_cached(places.cache, sources) or _get_from_first(places, sources, timeout or TIMEOUT)


def _find_cached(cache: Path, sources: Sequence[Source]) -> Path | None:
    """Return the first source that is in the cache, or None. It takes no lock, so a read-only cache works."""
    paths = ((_cache_path(cache, source), source) for source in sources)
    return next((path for path, source in paths if path.is_file() and _matches(path, source)), None)


def _cache_path(cache: Path, source: Source) -> Path:
    """Return the path of a source in the cache. Its folder has only this file, the lock and temporary files."""
    return cache / source.sha256[:16] / source.name


def _get_from_first(places: Places, sources: Sequence[Source], timeout: tuple[float, float]) -> Path:
    """Copy or download one of the sources from the first place where this succeeds."""
    failures: list[str] = []
    for source, place in _candidates(places.mirror, sources):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _get(source, place, _cache_path(places.cache, source), timeout)
            except (_UnusableError, requests.RequestException, StreamError, *_NO_SUCH_FILE) as error:
                reason, final = _reason(error)
            tries = "" if final else f" ({attempt}/{ATTEMPTS})"
            tqdm.write(f"{source.name}: {_host(place)}: {reason}{tries}")
            if final:
                break
        failures.append(f"{source.name} at {_host(place)} ({reason})")
    raise UserError(
        f"the download failed: {', '.join(failures)}",
        f"check the network, or set {MIRROR_VARIABLE} to a folder or URL with "
        f"{' or '.join(s.name for s in sources)}, or use `-S dataset=digits`, which needs no network",
    )


_NO_SUCH_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def _reason(error: Exception) -> tuple[str, bool]:
    """Return why a download failed, and whether a retry is pointless."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}", error.response.status_code < 500
    if isinstance(error, requests.Timeout):
        return "timed out", False
    if isinstance(getattr(next(iter(error.args), None), "reason", None), NewConnectionError):
        return "no connection", True  # the host name is unknown or the port is closed: a retry won't change that
    if isinstance(error, ReadTimeoutError):
        return "the connection stalled", False
    if isinstance(error, (requests.RequestException, StreamError)):
        return f"the connection broke: {type(error).__name__}", False
    return (error.strerror or str(error) if isinstance(error, OSError) else str(error)), True


def _candidates(mirror: str, sources: Sequence[Source]) -> Iterator[tuple[Source, str]]:
    """Yield each source with each place to get it from, best first: a URL, or a path in the user's mirror."""
    if mirror:
        yield from ((source, f"{mirror.rstrip('/')}/{source.name}") for source in sources)
    for source in sources:
        yield from ((source, url) for url in source.urls)


def _get(source: Source, place: str, target: Path, timeout: tuple[float, float]) -> Path:
    """Copy or download a source from one place to the cache, and check its hash."""
    with _temporary_file(target) as temporary:
        if is_url(place):
            tqdm.write(f"downloading {_shown(place)}")
            _download(place, temporary, source.name, timeout)
        else:
            shutil.copyfile(place, temporary)
        if not _matches(temporary, source):
            raise _UnusableError(_describe(temporary))
    return target


def _download(url: str, path: Path, name: str, timeout: tuple[float, float]) -> None:
    """Download a URL to a file, with a progress bar."""
    # Ask for the bytes as published: otherwise a server may decompress a .gz file.
    headers = {"Accept-Encoding": "identity"}
    with path.open("wb") as file, requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        response.raise_for_status()
        with progress(response.raw.length_remaining, name, unit="B", unit_scale=True) as bar:
            # read1 returns the bytes at hand; iter_content of requests waits until a chunk is full, so that a slow
            # server would go unnoticed.
            for chunk in _check_speed(iter(lambda: response.raw.read1(2**16), b"")):
                file.write(chunk)
                bar.update(len(chunk))


def _check_speed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks; raise _UnusableError if they come slower than MIN_SPEED during SPEED_WINDOW seconds."""
    start, received = time.monotonic(), 0
    for chunk in chunks:
        received += len(chunk)
        elapsed = time.monotonic() - start
        if elapsed >= SPEED_WINDOW:
            if received < MIN_SPEED * elapsed:
                raise _UnusableError(f"too slow: {received:,} bytes in {elapsed:.0f} s")
            start, received = time.monotonic(), 0
        yield chunk


@contextmanager
def _lock_folders(cache: Path, sources: Sequence[Source]) -> Iterator[None]:
    """Lock the cache folders of the sources, and remove the temporary files of killed processes.

    The kernel releases a lock when its process ends, even if it is killed.
    """
    names = {_cache_path(cache, source).parent: source.name for source in sources}
    with ExitStack() as stack:
        for folder in sorted(names):  # always in the same order, to avoid a deadlock
            with _report_unwritable(folder):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_lock(folder / ".lock", names[folder]))
                for leftover in folder.glob(".partial-*"):
                    leftover.unlink()
        yield


def _lock(path: Path, name: str) -> AbstractContextManager[object]:
    """Acquire a lock, waiting for another process if needed. Leaving the returned context releases it."""
    lock = FileLock(path)
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        tqdm.write(f"another process is downloading {name}; waiting for it")
        return lock.acquire()


@contextmanager
def _temporary_file(target: Path) -> Iterator[Path]:
    """Yield a temporary file beside `target`; rename it to `target` if the block ends without an error."""
    with _report_unwritable(target.parent):
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
    os.close(descriptor)
    try:
        yield Path(name)
        Path(name).chmod(0o644)  # mkstemp lets only its user read the file, but a cache may be shared
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _report_unwritable(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block into a UserError that names the cache folder."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the cache {folder} can't be written ({error.strerror})", f"set {CACHE_VARIABLE} to a writable folder"
        ) from None


def _matches(path: Path, source: Source) -> bool:
    """Return whether a file has the hash of the source, or is a gzip file with the right content."""
    if sha256(path) == source.sha256:
        return True
    return source.content_sha256 is not None and _content_sha256(path) == source.content_sha256


def _content_sha256(path: Path) -> str | None:
    """Return the sha256 of the content of a gzip file; None if it isn't a complete gzip file."""
    try:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error):
        return None


def _describe(path: Path) -> str:
    """Describe a file with the wrong hash."""
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    kind = "a web page" if start.startswith((b"<!doctype", b"<html")) else "a file"
    return f"wrong sha256, got {kind} of {path.stat().st_size:,} bytes"


def is_url(place: str) -> bool:
    """Return whether a place is a URL rather than a path."""
    return place.startswith(("http://", "https://"))


def _shown(url: str) -> str:
    """Return a URL without login and query, which may have secrets, perhaps with characters that are not encoded."""
    scheme, separator, rest = url.partition("://")
    host = r"(?:[\w.-]+|\[[\da-fA-F:]+\])(?::\d+)?(?:[/?#]|$)"
    if not re.match(host, rest):  # there is a login before it
        rest = re.sub(rf"^.*?@(?={host})", "", rest, count=1)
    return scheme + separator + re.split("[?&;#]", rest)[0]


def _host(place: str) -> str:
    return _shown(place).split("/")[2] if is_url(place) else str(Path(place).parent)


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
