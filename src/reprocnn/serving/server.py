"""Run the server."""

import asyncio
import gc
import logging
import socket
import warnings

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reprocnn.serving.app import build
from reprocnn.serving.models import Served
from reprocnn.serving.settings import Settings

_GRACE = 5
"""Seconds, after the time of a request, in which its answer has to be read when the server ends."""


def listen(host: str, port: int) -> socket.socket:
    """Open the port of the server. Clients can connect from now on; they are answered when it runs.

    Args:
        host: the address to listen on.
        port: the port; 0: a free one.

    Raises:
        OSError: the port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=2048)
    # Head and body of an answer are sent one after the other; without this, the body waits 40 ms for the client's
    # acknowledgement of the head. asyncio sets it for its own sockets only.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def run(served: Served, settings: Settings, listening: socket.socket) -> None:
    """Serve a model until SIGTERM or Ctrl-C, then finish the requests that were begun.

    Args:
        served: the model.
        settings: what the server takes.
        listening: its port.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    # What these say about a broken file or form is in the answer, and what they say about MLflow is in the message
    # about the model; the log has one line per request.
    for name in ("python_multipart", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="PIL")
    config = uvicorn.Config(
        build(served, settings),
        http=type("Protocol", (_Protocol,), {"seconds": settings.limits.seconds}),
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.limits.seconds + _GRACE,
    )
    # The garbage collector need not look through what the imports made, which takes it 40 ms each time.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run([listening])


class _Protocol(H11Protocol):
    """The HTTP of uvicorn with limits that it lacks.

    They are for the time until the headers of a request are complete, for what a client still sends after it got its
    answer, and for the time in which it reads a long answer, which stays in the memory until then.
    """

    seconds: float
    """The limit."""
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._waiting.cancel()

    def on_response_complete(self) -> None:
        before = self.cycle
        super().on_response_complete()
        if self.cycle is before:  # the client did not send the next request in advance
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._waiting.cancel()
        if self._unread:
            self._unread.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.seconds, self._end)

    def _end(self) -> None:
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.transport.close()
