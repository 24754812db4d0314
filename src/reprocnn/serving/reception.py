"""Let requests in, as many as the server can hold, and read them within their limits."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

from fastapi import Request

from reprocnn.serving.refused import RefusedError
from reprocnn.serving.settings import Limits

R = TypeVar("R")
AGAIN = {"Retry-After": "1"}
_CLOSE = {"Connection": "close"}


class Reception:
    """Counts the requests inside, reads each, and has it answered in a thread.

    Args:
        limits: what a request may cost.
        threads: where requests are answered, so that reading the others goes on.
    """

    def __init__(self, limits: Limits, threads: Executor) -> None:
        self._limits, self._threads = limits, threads
        self.inside = 0

    def is_full(self) -> bool:
        """Return whether the next request would be refused."""
        return self.inside >= self._limits.waiting

    async def handle(self, request: Request, answer: Callable[[bytes, Event], R]) -> R:
        """Read a request and answer it.

        Args:
            request: the request.
            answer: function of its body, which is called in a thread; it should end early once the event is set.

        Raises:
            RefusedError: too many requests are inside, this one is too large or too slow, or it can't be answered.
            ClientDisconnect: the client is gone.
        """
        with self._inside():
            end = asyncio.get_running_loop().time() + self._limits.seconds
            try:
                async with asyncio.timeout_at(end):
                    body = await self._read(request)
            except TimeoutError:
                cause = f"the request was not complete after {self._limits.seconds} s"
                raise RefusedError(408, cause, "send it faster, or in parts", _CLOSE) from None
            late = Event()
            try:
                async with asyncio.timeout_at(end):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, answer, body, late)
            except TimeoutError:
                cause = f"no answer within {self._limits.seconds} s"
                raise RefusedError(503, cause, "ask again, or with fewer or smaller images", AGAIN) from None
            finally:
                late.set()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        if self.is_full():
            raise RefusedError(429, f"{self.inside} requests are waiting", "ask again in a second", AGAIN)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    async def _read(self, request: Request) -> bytes:
        """Read the body; stop at the limit, whatever its announced length."""
        limit = self._limits.bytes
        if (length := request.headers.get("content-length", "")).isdecimal() and int(length) > limit:
            raise _too_large(limit)
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        return b"".join(parts)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"more than {limit:,} bytes", "send fewer or smaller images; `--max-bytes` sets the limit")
