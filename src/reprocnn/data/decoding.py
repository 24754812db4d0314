"""Decode batches of files, in a worker: this module and what it imports are all that a worker loads."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from io import BytesIO
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reprocnn.inference.unreadable import UnreadableError

Pixels = NDArray[np.uint8]
Read = Callable[[], bytes]
Decode = Callable[[str, Read], Pixels]
CHANGES = (DELETED, CHANGED) = ("deleted", "changed")
"""Why a file that was listed can't be read."""
_LARGE, _SMALL_FILE = 2**25, 2**16
"""Pixels from which one picture is decoded at a time; files of at most so many bytes are not looked at."""
T = TypeVar("T")

_turn: AbstractContextManager[object] = nullcontext()
"""Lock that the workers share, see `share_turn`."""


def share_turn(lock: AbstractContextManager[object]) -> None:
    """Set the lock that a worker holds while it decodes a large picture; one of 50 megapixels takes up to 0.8 GB."""
    global _turn
    _turn = lock


class Failure(NamedTuple):
    """A file that can't be read as an image, and the arguments of its UnreadableError."""

    name: str
    cause: str
    fix: str
    detail: str


class Batch(NamedTuple):
    """Some files, in the order of the source.

    Args:
        names: their names.
        contents: for each file its content, a function that returns it, or why it was not read; None: the worker reads
            the files.
    """

    names: list[str]
    contents: list[bytes | Read | Failure | str] | None


class Decoded(NamedTuple):
    """The images of a batch.

    Args:
        n: the number of files in it.
        images: those that could be decoded, each uint8 (height, width, channels), 0-255.
        failures: index in the batch -> why the file was not decoded.
    """

    n: int
    images: list[Pixels]
    failures: dict[int, Failure | str]


def decode_batch(decode: Decode, folder: str, batch: Batch) -> Decoded:
    """Decode a batch of files.

    Args:
        decode: function of a name and a function that reads the file; returns the image or raises UnreadableError.
        folder: the folder of the files, if the contents are not in the batch.
        batch: the files.
    """
    decoded = Decoded(len(batch.names), [], {})
    for index, name in enumerate(batch.names):
        content = partial(_read_file, f"{folder}/{name}") if batch.contents is None else batch.contents[index]
        found = _decode(decode, name, content)
        if isinstance(found, (Failure, str)):
            decoded.failures[index] = found
        else:
            decoded.images.append(np.ascontiguousarray(found))
    return decoded


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  a path object takes as long as the call itself
        return file.read()


def _decode(decode: Decode, name: str, content: bytes | Read | Failure | str) -> Pixels | Failure | str:
    if isinstance(content, (Failure, str)):
        return content
    with ExitStack() as stack:

        def read() -> bytes:
            found = content if isinstance(content, bytes) else content()
            if _is_large(found):
                stack.enter_context(_turn)
            return found

        return outcome(name, lambda: decode(name, read))


def _is_large(content: bytes) -> bool:
    """Tell whether a file is a picture of so many pixels that decoding several at a time takes much memory."""
    if len(content) <= _SMALL_FILE:
        return False
    try:
        with Image.open(BytesIO(content)) as opened:
            return opened.width * opened.height > _LARGE
    except Exception:  # `decode` says what is wrong
        return False


def outcome(name: str, act: Callable[[], T]) -> T | Failure | str:
    """Return what a function returns, or why it failed.

    Args:
        name: the name of the file that it reads.
        act: the function.
    """
    try:
        return act()
    except FileNotFoundError:
        return DELETED
    except UnreadableError as error:
        return Failure(name, error.cause, error.fix, error.detail)
