"""What every request passes: the check of who asks, the headers of the answer, the log and the metrics."""

import logging
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reprocnn.serving.access import check
from reprocnn.serving.metrics import Metrics
from reprocnn.serving.refused import RefusedError

_log = logging.getLogger(__name__)
NO_ANSWER = 499
"""Status, in log and metrics, of a request whose client went away."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Headers of each answer that does not have them itself."""


class Gate:
    """Wraps the application.

    Args:
        app: the application.
        metrics: counts the requests.
        token: what a client has to send; None: the server listens on this machine only.
        paths: the paths of the application; others are counted together.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None, paths: set[str]) -> None:
        self._app, self._metrics, self._token, self.paths = app, metrics, token, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, or the start and end of the server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, size = perf_counter(), NO_ANSWER, 0
        scope.setdefault("state", {})

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            return message

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._checked(scope, counted, with_headers)
        finally:
            self._record(scope, status, size, perf_counter() - begun)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check(Headers(scope=scope), scope["path"], self._token)
        except RefusedError as problem:
            await problem.response(scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _record(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        path = scope["path"] if scope["path"] in self.paths else "other"
        self._metrics.count_request(path, status, seconds)
        client = scope["client"][0] if scope["client"] else "-"
        images = scope["state"].get("images", 0)
        name = scope["raw_path"][:100].decode("ascii", "backslashreplace")
        took = f"{1000 * seconds:.1f} ms"
        _log.info("%s %s %s %d, %d images, %d bytes, %s", client, scope["method"], name, status, images, size, took)
