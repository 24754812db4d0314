"""Answer pictures over HTTP."""

import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from reprocnn.commands.predict import find_model, open_model
from reprocnn.errors import UserError
from reprocnn.ledger import revisions
from reprocnn.serving.settings import TOKEN, Settings, is_loopback

_PACKAGES = {
    "fastapi": "fastapi",
    "fastapi_offline": "fastapi-offline",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
    "uvicorn": "uvicorn",
}
"""Module -> package of the extra `serve`."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which model to serve; at most one of the first three is given.

    Args:
        model: an ONNX file, or `models:/NAME@ALIAS` or another URI of a model in MLflow.
        revision: a DVC experiment or a commit.
        run_id: the ID of an MLflow run, or its first characters.
        white: value of white of images with more than 8 bits per channel; None: that of the training.
    """

    model: str | None
    revision: str | None
    run_id: str | None
    white: float | None


def serve(choice: Choice, settings: Settings) -> None:
    """Serve a model until SIGTERM or Ctrl-C.

    Args:
        choice: the model.
        settings: how the server is reached, and what it takes.

    Raises:
        UserError: a package is missing, the model can't be opened, the port is taken, or others could connect without a
            token.
    """
    _check_packages()
    _check_token(settings)
    with find_model(choice.model, choice.revision, choice.run_id) as path:
        _serve(path, choice, settings)


def _serve(path: Path, choice: Choice, settings: Settings) -> None:
    from reprocnn.serving import models, server

    open_model(path, threads=1, white=choice.white)  # its errors have a fix
    served = models.Served(models.File(path, choice.white, revisions.experiment_with))
    with _listen(settings) as listening:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address, version = f"http://{host}:{listening.getsockname()[1]}", served.model.version
        print(f"serving {version.architecture} on {version.dataset} at {address}  (Ctrl-C stops it)", flush=True)
        print(f"  page {address}/   routes {address}/docs   metrics {address}/metrics", flush=True)
        server.run(served, settings, listening)


def _listen(settings: Settings) -> socket.socket:
    from reprocnn.serving.server import listen

    try:
        return listen(settings.host, settings.port)
    except OSError as error:
        problem = f"can't listen on port {settings.port} of {settings.host}: {error.strerror}"
        raise UserError(problem, "choose another --port or --host; `--port 0` takes a free port") from None


def _check_packages() -> None:
    missing = [package for module, package in _PACKAGES.items() if not find_spec(module)]
    if missing:
        raise UserError(
            f"serve needs packages that are not installed: {', '.join(missing)}", "make setup EXTRA=--extra=serve"
        )


def _check_token(settings: Settings) -> None:
    if settings.token is None and not is_loopback(settings.host):
        raise UserError(
            f"--host {settings.host} lets other machines connect, and there is no token",
            f"export {TOKEN}=... with a long random text, or leave out --host",
        )
    if settings.token is not None and not (settings.token.isascii() and len(settings.token) >= 16):
        raise UserError(
            f"{TOKEN} has {len(settings.token)} characters, expected at least 16, all of them ASCII",
            f"export {TOKEN}=$(openssl rand -hex 16)",
        )
