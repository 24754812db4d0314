"""What a person can set about the server."""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

TOKEN = "REPROCNN_SERVE_TOKEN"
"""The environment variable that has the token."""


def _limit(default: int, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may cost, so that no request can fill the memory or hold up the others."""

    bytes: int = _limit(2**24, "bytes per request")
    pixels: int = _limit(50_000_000, "pixels per image; a small file may be a huge image")
    images: int = _limit(256, "images per request")
    waiting: int = _limit(64, "requests that are read, wait or are answered; to one more, the answer is 429")
    seconds: int = _limit(30, "seconds in which a request has to be read and answered")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the server is reached, and what it takes."""

    host: str = "127.0.0.1"
    """The address that it listens on."""
    port: int = 8000
    """The port; 0: a free one."""
    token: str | None = field(default=None, repr=False)
    """What a client has to send as `Authorization: Bearer TOKEN`; None: nothing."""
    limits: Limits = Limits()
    """What a request may cost."""
    watch: float = 5
    """Seconds between two looks for a new model."""


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is that of this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
