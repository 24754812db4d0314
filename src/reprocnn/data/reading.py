"""Read and decode images on all cores, into one file that survives if the process is killed."""

import hashlib
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from loky.backend import get_context
from loky.process_executor import Future, ProcessPoolExecutor, TerminatedWorkerError
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from reprocnn.artifacts.files import write_bytes
from reprocnn.data.archives import Read, report_corrupt
from reprocnn.data.decoding import (
    CHANGED,
    CHANGES,
    DELETED,
    Batch,
    Decode,
    Decoded,
    Failure,
    decode_batch,
    outcome,
    share_turn,
)
from reprocnn.data.manifest import ChangedError
from reprocnn.data.progress import progress
from reprocnn.data.source import Source, changed_error, checked, listed_files, state
from reprocnn.data.unreadable_files import MAX_COLLECTED, UnreadableFiles
from reprocnn.errors import UserError
from reprocnn.inference.unreadable import UnreadableError
from reprocnn.params import Unreadable

Pixels = NDArray[np.uint8]

_BATCH_IMAGES, _BATCH_BYTES = 512, 2**22
"""Images and bytes that a worker gets at a time, at most."""
_FEW_IMAGES, _FEW_BYTES = 2000, 2**24
"""Up to this many images and bytes are decoded in this process: workers take half a second to start."""
_SAVED_EVERY = 5.0
"""Seconds after which what was decoded is saved."""
_MOST_SKIPPED = 0.5
"""If more than this part of the files can't be read, it is the wrong folder."""


class ReadImages(NamedTuple):
    """The images of a source.

    Args:
        images: uint8 (n, height, width, channels), 0-255, memory-mapped.
        kept: int64 (n,), their indices in the list of names.
        skipped: file name -> why it could not be read.
    """

    images: Pixels
    kept: NDArray[np.int64]
    skipped: dict[str, str]


class _Done(BaseModel):
    """What was read so far.

    Args:
        files: how many files were read.
        failures: index of a file -> why it can't be read.
    """

    files: int = 0
    failures: dict[int, Failure] = {}


_States = Mapping[str, tuple[int, int]]
"""File name -> size in bytes, and time of the last change, also of its permissions, in ns."""


def read_images(
    source: Source,
    names: Sequence[str],
    decode: Decode,
    shape: tuple[int, int, int],
    folder: Path,
    *,
    unreadable: Unreadable = "refuse",
    workers: int | None = None,
) -> ReadImages:
    """Read and decode images, in the order of the source. The result does not depend on the number of workers.

    If the process is killed, the next call with the same source goes on where it was.

    Args:
        source: the directory or archive, as `list_source` returned it.
        names: the names of the images to read, in the order of the source; a subset of its files.
        decode: function of a name and a function that reads the file; returns the image, uint8 `shape`, 0-255, or
            raises UnreadableError. It is sent to other processes.
        shape: (height, width, channels) of every image.
        folder: where the images are kept; the caller deletes it when it has used them.
        unreadable: `refuse` files that can't be read, or `skip` them if they are at most half of all.
        workers: the number of processes; None: one per core, but with few images none but this one.

    Raises:
        UserError: files can't be read as images (it lists them), the source has changed since it was listed, or a
            worker was killed.
    """
    states = _file_states(source, names)
    if workers is None:
        n_bytes = sum(size for size, _ in states.values()) if states else source.path.stat().st_size
        workers = 1 if len(names) <= _FEW_IMAGES and n_bytes <= _FEW_BYTES else os.cpu_count() or 1
    most_failures = int(_MOST_SKIPPED * len(names)) if unreadable == "skip" else 0
    with _Store(folder, _key(source, names, states, decode), shape, most_failures) as store:
        failure = None
        try:
            with report_corrupt(source.path):
                _read(source, states, names, partial(_decoded, decode, os.fspath(source.path), workers), store)
            if len(store.done.failures) > store.most_failures:
                store.discard()  # the files may be readable the next time
                raise _unreadable(source, names, store)
        except UserError as error:
            failure = error
        except TerminatedWorkerError:
            failure = UserError(
                f"{source.path}: a process that decodes images was killed, probably because memory is short",
                "run again, which goes on from here; close other programs, or use smaller images",
            )
        if state(source.path) != source.state:
            raise changed_error(source, "it was replaced")
        if failure:
            raise failure
        return store.result(len(names))


class _Store:
    """The images that were decoded so far, in a folder of their own per source.

    Args:
        folder: the folder of all stores; those of other sources are deleted.
        key: identifies the source and how it is decoded.
        shape: (height, width, channels) of every image.
        most_failures: how many files may be unreadable.
    """

    def __init__(self, folder: Path, key: str, shape: tuple[int, int, int], most_failures: int) -> None:
        self.most_failures = most_failures
        if folder.is_dir():
            for other in folder.iterdir():
                if other.name != key:
                    shutil.rmtree(other)
        self._folder, self._shape = folder / key, shape
        self._folder.mkdir(parents=True, exist_ok=True)
        self.done = self._read_done()
        self._file = (self._folder / "images").open("r+b" if (self._folder / "images").exists() else "w+b")
        self._file.truncate(self._rows() * int(np.prod(shape)))  # what was written after the last save may be damaged
        self._file.seek(0, os.SEEK_END)
        self._saved = time.monotonic()

    def _rows(self) -> int:
        return self.done.files - len(self.done.failures)

    def _read_done(self) -> _Done:
        try:
            return _Done.model_validate_json((self._folder / "done.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return _Done()

    def add(self, decoded: Decoded) -> None:
        """Append the images of the next batch, and note which of its files can't be read."""
        self._file.write(b"".join(image.data for image in decoded.images))
        for index, failure in decoded.failures.items():
            if isinstance(failure, Failure):
                self.done.failures[self.done.files + index] = failure
        self.done.files += decoded.n
        if time.monotonic() - self._saved > _SAVED_EVERY:
            self.save()

    def save(self) -> None:
        """Save what was added, so that it survives also if the machine stops."""
        self._file.flush()
        os.fsync(self._file.fileno())
        write_bytes(self._folder / "done.json", self.done.model_dump_json().encode())
        self._saved = time.monotonic()

    def discard(self) -> None:
        """Delete what was saved."""
        shutil.rmtree(self._folder)

    def __enter__(self) -> "_Store":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder.exists():
            self.save()  # also after an error or Ctrl-C: the next call goes on from here
        self._file.close()

    def result(self, n: int) -> ReadImages:
        """Return all images, of n files."""
        self.save()
        kept = np.setdiff1d(np.arange(n), list(self.done.failures))
        size = (len(kept), *self._shape)
        if not len(kept):  # an empty file can't be mapped
            return ReadImages(np.empty(size, np.uint8), kept, {})
        images = np.memmap(self._folder / "images", np.uint8, "r", shape=size)
        return ReadImages(images, kept, {f.name: f.cause for f in self.done.failures.values()})


def _file_states(source: Source, names: Sequence[str]) -> _States:
    """Return the state of each file in a directory; an archive has one of its own."""
    folder = os.fspath(source.path)
    return {name: _file_state(f"{folder}/{name}") for name in names} if source.path.is_dir() else {}


def _file_state(file: str) -> tuple[int, int]:
    try:
        status = os.stat(file)  # noqa: PTH116  a path object takes as long as the call itself
    except OSError:  # reading it will fail
        return 0, 0
    return status.st_size, status.st_ctime_ns


def _key(source: Source, names: Sequence[str], states: _States, decode: Decode) -> str:
    """Return a hash that changes when a file, the way to decode it, or Pillow changes."""
    options = decode.keywords if isinstance(decode, partial) else repr(decode)
    made = hashlib.sha256(f"{source.path.absolute()} {source.state} {PIL.__version__} {options}".encode())
    for name in names:
        made.update(f"{name}\0{states.get(name)}\0".encode("utf-8", "surrogateescape"))
    return made.hexdigest()[:32]


def _read(
    source: Source,
    states: _States,
    names: Sequence[str],
    decoded: Callable[[Iterable[Batch]], Iterable[Decoded]],
    store: _Store,
) -> None:
    """Decode the images that the store lacks.

    Raises:
        UserError: the source has changed.
    """
    wanted, changed = set(names), list[str]()
    files = ((name, read) for name, read in listed_files(source) if name in wanted)
    with progress(len(names), "reading images", unit="image", initial=store.done.files) as bar:
        position = store.done.files
        for _ in range(position):
            next(files)
        for batch in decoded(_batches(source, states, files)):
            changes = {names[position + index]: found for index, found in batch.failures.items() if found in CHANGES}
            if deleted := [name for name, change in changes.items() if change == DELETED]:
                raise changed_error(source, f"{deleted[0]} was deleted")
            changed += changes
            if not changed:  # else reading fails; the other files are read only to list all that changed
                store.add(batch)
            position += batch.n
            bar.update(batch.n)
            if len(store.done.failures) >= store.most_failures + MAX_COLLECTED:
                break
    if changed and source.manifest:
        raise source.manifest.out_of_date({"changed": changed})


def _unreadable(source: Source, names: Sequence[str], store: _Store) -> UserError:
    """Return the error for files that can't be read; it names the first ones."""
    allowed = store.most_failures
    note = f", more than the {allowed} that `unreadable: skip` may leave out" if allowed else ""
    few = not allowed and len(store.done.failures) <= int(_MOST_SKIPPED * len(names))
    instead = "or leave out all of these files with `-S unreadable=skip`" if few else ""
    files = UnreadableFiles(source.path, len(names), note, instead)
    for failure in list(store.done.failures.values())[:MAX_COLLECTED]:
        files.add(failure.name, UnreadableError(failure.cause, failure.fix, failure.detail))
    return files.error()


def _decoded(decode: Decode, folder: str, workers: int, batches: Iterable[Batch]) -> Iterator[Decoded]:
    """Decode batches, in their order."""
    if workers == 1:
        yield from (decode_batch(decode, folder, batch) for batch in batches)
        return
    context, waiting = get_context("loky"), deque[Future]()
    pool = ProcessPoolExecutor(workers, context=context, initializer=share_turn, initargs=(context.Lock(),))
    try:
        for batch in batches:
            waiting.append(pool.submit(decode_batch, decode, folder, batch))
            if len(waiting) > 3 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also after Ctrl-C
        pool.shutdown(wait=True, kill_workers=bool(waiting))


def _batches(source: Source, states: _States, files: Iterable[tuple[str, Read]]) -> Iterator[Batch]:
    """Divide files into batches for the workers.

    The workers read the files of a directory themselves. The members of an archive, and files with a manifest, which is
    large, are read in this process.
    """
    here = source.manifest is not None or not source.path.is_dir()
    batch, size = Batch([], [] if here else None), 0
    for name, read in files:
        batch.names.append(name)
        if batch.contents is None:
            size += states[name][0]
        else:
            content = outcome(name, partial(_content, checked(source, name, read)))
            batch.contents.append(content)
            size += len(content) if isinstance(content, bytes) else 0
        if len(batch.names) == _BATCH_IMAGES or size > _BATCH_BYTES:
            yield batch
            batch, size = Batch([], [] if here else None), 0
    if batch.names:
        yield batch


def _content(read: Read) -> bytes | Read | str:
    """Read a file; return a function that raises the error if it can't be read, so that `decode` explains it."""
    try:
        return read()
    except ChangedError:
        return CHANGED
    except FileNotFoundError:
        raise
    except OSError as error:
        return partial(_fail, error)


def _fail(error: OSError) -> bytes:
    raise error
