"""Get a published file from the user's cache, the user's mirror, or the first public mirror with the right bytes.

The hash decides, not the host. A file appears in the cache by rename after the check of its hash, so that the cache
never has a partial or wrong file. One process at a time downloads a file; others wait for it.
"""

import gzip
import hashlib
import os
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
"""Attempts per location, because a connection may break once."""
TIMEOUT = (10.0, 30.0)
"""Seconds to wait for a connection and for the next bytes."""
SLOWEST = 2000
"""Bytes per second below which a location is given up: at this speed CIFAR-10 takes a day."""
PATIENCE = 60.0
"""Seconds over which the speed is measured."""


@dataclass(frozen=True)
class Source:
    """A published file.

    Args:
        name: file name, the same in every mirror.
        sha256: hash of the published file.
        urls: where it is published, best first.
        content_sha256: hash of the decompressed content, if any gzip file with that content is accepted.
    """

    name: str
    sha256: str
    urls: tuple[str, ...]
    content_sha256: str | None = None


class _NoUseError(Exception):
    """A location sends a wrong file, or is too slow."""


@dataclass(frozen=True)
class Places:
    """Locations that are tried before the published URLs.

    Args:
        cache: the folder for downloads.
        mirror: a URL or an absolute path of a folder with the files; empty: none.
    """

    cache: Path
    mirror: str = ""


def fetch(places: Places, *sources: Source, timeout: tuple[float, float] | None = None) -> Path:
    """Get one of several alternative files into the cache.

    The cache, the user's mirror and the URLs of each source are tried in this order.

    Args:
        places: the cache and the user's mirror.
        *sources: the alternatives, best first.
        timeout: seconds to wait for a connection and for the next bytes.

    Returns:
        The path of the file, with the name of its source.

    Raises:
        UserError: the cache can't be written, or no location has the file.
    """
    if cached := _cached(places.cache, sources):
        return cached
    with _locked(places.cache, sources):
        # Check again: the process that held the lock may have downloaded it.
        return _cached(places.cache, sources) or _get_first(places, sources, timeout or TIMEOUT)


def _cached(cache: Path, sources: Sequence[Source]) -> Path | None:
    """Return the first source that is in the cache; it takes no lock, so that a read-only cache works."""
    paths = ((_target(cache, source), source) for source in sources)
    return next((path for path, source in paths if path.is_file() and _is_right(path, source)), None)


def _target(cache: Path, source: Source) -> Path:
    """Return the path of a source in the cache, in its own folder with the lock and the partial files."""
    return cache / source.sha256[:16] / source.name


def _get_first(places: Places, sources: Sequence[Source], timeout: tuple[float, float]) -> Path:
    """Get a file from the first location that has one of the sources."""
    failures: list[str] = []
    for source, place in _candidates(places.mirror, sources):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _get(source, place, _target(places.cache, source), timeout)
            except (_NoUseError, requests.RequestException, StreamError, *_NO_SUCH_FILE) as error:
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
    """Return why a location failed, and whether that is final."""
    if isinstance(error, requests.HTTPError):
        return f"HTTP status {error.response.status_code}", error.response.status_code < 500
    if isinstance(error, requests.Timeout):
        return "no answer in time", False
    if isinstance(getattr(next(iter(error.args), None), "reason", None), NewConnectionError):
        return "no connection", True  # no server or no such host: another attempt would not help
    if isinstance(error, ReadTimeoutError):
        return "the connection stalled", False
    if isinstance(error, (requests.RequestException, StreamError)):
        return f"the connection broke: {type(error).__name__}", False
    return (error.strerror or str(error) if isinstance(error, OSError) else str(error)), True


def _candidates(mirror: str, sources: Sequence[Source]) -> Iterator[tuple[Source, str]]:
    """Yield each source with each of its possible locations, best first."""
    if mirror:
        yield from ((source, f"{mirror.rstrip('/')}/{source.name}") for source in sources)
    for source in sources:
        yield from ((source, url) for url in source.urls)


def _get(source: Source, place: str, target: Path, timeout: tuple[float, float]) -> Path:
    """Copy or download a file from one location to the cache, and check it."""
    with _partial(target) as partial:
        if is_url(place):
            tqdm.write(f"downloading {place}")
            _download(place, partial, source.name, timeout)
        else:
            shutil.copyfile(place, partial)
        if not _is_right(partial, source):
            raise _NoUseError(_describe(partial))
    return target


def _download(url: str, path: Path, name: str, timeout: tuple[float, float]) -> None:
    """Download to a file, with a progress bar."""
    # Ask for the bytes as they are: otherwise a server may decompress a .gz file.
    headers = {"Accept-Encoding": "identity"}
    with path.open("wb") as file, requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        response.raise_for_status()
        with progress(response.raw.length_remaining, name, unit="B", unit_scale=True) as bar:
            # read1 returns what has arrived; requests would wait for a full chunk, on a slow server for very long.
            for chunk in _at_speed(iter(lambda: response.raw.read1(2**16), b"")):
                file.write(chunk)
                bar.update(len(chunk))


def _at_speed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks; raise if less than SLOWEST bytes per second arrive over PATIENCE seconds."""
    start, received = time.monotonic(), 0
    for chunk in chunks:
        received += len(chunk)
        elapsed = time.monotonic() - start
        if elapsed >= PATIENCE:
            if received < SLOWEST * elapsed:
                raise _NoUseError(f"too slow: {received:,} bytes in {elapsed:.0f} s")
            start, received = time.monotonic(), 0
        yield chunk


@contextmanager
def _locked(cache: Path, sources: Sequence[Source]) -> Iterator[None]:
    """Lock the folders of the sources for this process, and remove the partial files of killed processes.

    The kernel releases a lock when its holder ends, even after a kill.
    """
    names = {_target(cache, source).parent: source.name for source in sources}
    with ExitStack() as stack:
        for folder in sorted(names):  # in the same order in every process, to avoid a deadlock
            with _writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_lock(folder / ".lock", names[folder]))
                for left in folder.glob(".partial-*"):
                    left.unlink()
        yield


def _lock(path: Path, name: str) -> AbstractContextManager[object]:
    """Acquire a lock, and wait while another process holds it. The caller releases it."""
    lock = FileLock(path)
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        tqdm.write(f"another process downloads {name}; waiting for it")
        return lock.acquire()


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """Yield a partial file beside `target`; it is renamed to `target` when the block ends without an error."""
    with _writing(target.parent):
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
    os.close(descriptor)
    try:
        yield Path(name)
        Path(name).chmod(0o644)  # only the user can read files of mkstemp, but a cache may be shared
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn an OSError in the block into a UserError that says that the cache can't be written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the cache {folder} can't be written ({error.strerror})", f"set {CACHE_VARIABLE} to a folder that can"
        ) from None


def _is_right(path: Path, source: Source) -> bool:
    """Return whether a file is the source, or another gzip file with the right content."""
    if sha256(path) == source.sha256:
        return True
    return source.content_sha256 is not None and _content_sha256(path) == source.content_sha256


def _content_sha256(path: Path) -> str | None:
    """Compute the sha256 of the content of a gzip file; None if it is not a complete gzip file."""
    try:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error):
        return None


def _describe(path: Path) -> str:
    """Describe a wrong file."""
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    kind = "a web page" if start.startswith((b"<!doctype", b"<html")) else "other bytes"
    return f"{kind} of {path.stat().st_size:,} bytes, wrong sha256"


def is_url(place: str) -> bool:
    """Return whether a location is a URL, not a folder."""
    return place.startswith(("http://", "https://"))


def _host(place: str) -> str:
    return place.split("/")[2] if is_url(place) else str(Path(place).parent)


def sha256(path: Path) -> str:
    """Compute the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
