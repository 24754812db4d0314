"""Start `python -m reprocnn serve` and ask it."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from checkouts import ROOT

JSON = {"Content-Type": "application/json"}
PNG = {"Content-Type": "image/png"}


def png(colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (6, 6)) -> bytes:
    """The bytes of a PNG of one colour."""
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@dataclass
class Said:
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server.

    Args:
        process: the process.
        port: where it listens.
        log: the file with what it wrote on the error stream.
        started: the CPU seconds until it listened, which other programs do not lengthen.
    """

    process: "subprocess.Popen[str]"
    port: int
    log: Path
    started: float

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, host: str | None = None
    ) -> Said:
        """Send a request; `host` is another name than the address."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            own = {"Host": host} if host is not None else {}
            connection.request(method, path, body, own | (headers or {}))
            return read(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None, **more: Any) -> Said:
        return self.ask("GET", path, None, headers, **more)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None, **more: Any) -> Said:
        return self.ask("POST", path, body, headers, **more)

    def logged(self, text: str) -> str:
        """Wait for a line of the log that has a text, and return it."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines():
                if text in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{text!r} is not in the log:\n{self.log.read_text()}")


def read(response: HTTPResponse) -> Said:
    return Said(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """Run a server; at the end it gets SIGTERM.

    Args:
        folder: where it runs, and its log is.
        *arguments: of the command.
        **environment: further environment variables.
    """
    log = folder / f"serve-{time.monotonic_ns()}.log"
    own = os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment
    command = [sys.executable, "-m", "reprocnn", "serve", "--port", "0", *arguments]
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=folder, env=own, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout
    try:
        line = process.stdout.readline()
        address = re.search(r" at http://\S+:(\d+) ", line)
        assert address, line + log.read_text()
        used = psutil.Process(process.pid).cpu_times()
        yield Server(process, int(address[1]), log, used.user + used.system)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()
