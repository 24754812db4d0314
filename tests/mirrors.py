"""A download server that fails in the ways in which mirrors fail."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler


class Mirror(BaseHTTPRequestHandler):
    """Serve `content` under /ok/..., and with one failure per folder, for example cut off after 100 bytes: /cut-100/...

    Args:
        content: the file that it serves under any name.
        asked: the folder of each request, in order.
        released: set by a test to end the waiting of `hang`, `stall` and `gate`.
    """

    content: bytes = b"the right bytes" * 1000
    asked: list[str]
    released: threading.Event

    def do_GET(self) -> None:
        folder = self.path.split("/")[1]
        self.asked.append(folder)
        kind, _, number = folder.partition("-")
        if kind == "hang":
            self.released.wait(20)
            return
        if kind == "404":
            self.send_error(404)
            return
        if kind in {"once", "stall"} and self.asked.count(folder) > 1:
            kind = "ok"
        with suppress(ConnectionError):  # the client closed the connection
            self._send_headers(kind, int(number or 100))
            for piece in self._pieces(kind, int(number or 100)):
                self.wfile.write(piece)

    def _send_headers(self, kind: str, n: int) -> None:
        if kind == "chunked":
            self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        length = {"short": n, "long": len(self.content) + n, "nonsense": "many", "html": 24}
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
        elif kind != "unknown":
            self.send_header("Content-Length", str(length.get(kind, len(self.content))))
        self.end_headers()

    def _pieces(self, kind: str, n: int) -> Iterator[bytes]:
        """Yield the pieces of the body to send; after the last one the connection is closed."""
        start, rest = self.content[:n], self.content[n:]
        match kind:
            case "html":
                yield b"<!DOCTYPE html><p>log in"
            case "altered":
                yield self.content[:-1] + bytes([self.content[-1] ^ 255])
            case "cut" | "once" | "unknown":
                yield start
            case "chunked":
                yield f"{len(self.content):x}\r\n".encode() + start
            case "reset":
                yield start
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())
            case "stall" | "gate":
                yield start
                self.released.wait(20)
                yield rest
            case "trickle" | "slow":
                yield start
                step = 1 if kind == "trickle" else 5000
                for at in range(0, len(rest), step):
                    time.sleep(0.05 if kind == "trickle" else 0.4)
                    yield rest[at : at + step]
            case _:
                yield self.content

    def log_message(self, *_: object) -> None:
        pass
