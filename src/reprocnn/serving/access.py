"""Who may ask: a client with the token; without a token, any program on this machine except pages of other sites."""

import hmac
import re

from starlette.datastructures import Headers

from reprocnn.serving.refused import RefusedError
from reprocnn.serving.settings import is_loopback

PUBLIC = re.compile(r"/(health|ready|ping|docs|openapi\.json|static-offline-docs/.*)?")
"""Paths that need no token: they say nothing about pictures or the model."""


def check(headers: Headers, path: str, token: str | None) -> None:
    """Check the headers of a request.

    Args:
        headers: its headers.
        path: what it asks for.
        token: the token of the server; None: it has none, and listens on this machine only.

    Raises:
        RefusedError: the token is missing or wrong, or the request was sent by a page of another site.
    """
    if token is not None:
        if not PUBLIC.fullmatch(path):
            _check_token(headers.get("authorization", ""), token)
    else:
        _check_sender(headers)


def _check_token(authorization: str, token: str) -> None:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return
    cause = "wrong token" if authorization else "no token"
    raise RefusedError(401, cause, "send the header `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"})


def _check_sender(headers: Headers) -> None:
    """Refuse requests that a page of another site makes in a browser on this machine.

    A page whose name was made to point to this machine (DNS rebinding) has its own name in `Host`; a form of another
    site has it in `Origin`.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if not is_loopback(re.sub(r":\d*$", "", host)):
        raise RefusedError(
            403, f"the host {host[:100]!r} is not this machine", "ask 127.0.0.1 or localhost, or set a token"
        )
    if origin is not None and origin.partition("://")[2] != host:
        raise RefusedError(
            403, f"a page of {origin[:100]!r} sent this", "send it from the server's own page, or set a token"
        )
