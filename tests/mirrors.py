"""A web server of downloads that fails in every way that mirrors do."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler


class Mirror(BaseHTTPRequestHandler):
    """/ok/..., and a folder for each way in which a mirror fails, such as /cut-100/...: after 100 bytes."""

    content: bytes = b"the right bytes" * 1000
    asked: list[str]
    released: threading.Event

    def do_GET(self) -> None:
        asked = self.path.split("/")[1]
        self.asked.append(asked)
        kind, _, number = asked.partition("-")
        if kind == "hang":
            self.released.wait(20)
            return
        if kind == "404":
            self.send_error(404)
            return
        if kind in {"once", "stall"} and self.asked.count(asked) > 1:
            kind = "ok"
        with suppress(ConnectionError):  # who asked has gone
            self._head(kind, int(number or 100))
            for piece in self._pieces(kind, int(number or 100)):
                self.wfile.write(piece)

    def _head(self, kind: str, n: int) -> None:
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
        """What is sent, one after the other; then the connection is closed."""
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
