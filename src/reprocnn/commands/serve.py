"""Answer pictures over HTTP."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from reprocnn.commands.predict import find_model, open_model
from reprocnn.errors import UserError
from reprocnn.ledger import model_files, registry, revisions
from reprocnn.ledger.origin import EXPERIMENT_TAG, NO_EXPERIMENT
from reprocnn.serving.settings import TOKEN, Settings, is_loopback

if TYPE_CHECKING:  # needs the packages of the extra `serve`
    from reprocnn.serving.models import Model, Source

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
    with _source(choice) as source:
        _serve(source, settings)


@contextmanager
def _source(choice: Choice) -> "Iterator[Source]":
    """Yield where the model comes from.

    Raises:
        UserError: the model can't be opened.
    """
    from reprocnn.serving.models import File

    if choice.model and model_files.is_registered(choice.model):
        yield Registered(choice.model, choice.white)
    else:
        with find_model(choice.model, choice.revision, choice.run_id) as path:
            open_model(path, threads=1, white=choice.white)  # its errors have a fix
            yield File(path, choice.white, revisions.experiment_with)


class Registered:
    """A model in MLflow's registry; its alias may be moved to another version.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        white: value of white of images with more than 8 bits per channel; None: that of the training.
    """

    def __init__(self, uri: str, white: float | None) -> None:
        self._uri, self._white = uri, white

    def current(self) -> object:
        """Return the name, the number and the time of the version; its files are downloaded.

        Raises:
            UserError: MLflow does not answer, or there is no such version.
        """
        version, _ = registry.fetch(self._uri)
        return version.name, version.number, version.created

    def load(self) -> "Model":
        """Open the model.

        Raises:
            UserError: MLflow does not answer, there is no such version, or it is not a model of this project.
        """
        from reprocnn.serving.models import File

        version, folder = registry.fetch(self._uri)
        path = model_files.onnx_in(self._uri, folder)
        open_model(path, threads=1, white=self._white)  # its errors have a fix
        experiment = version.tags.get(EXPERIMENT_TAG, NO_EXPERIMENT)
        model = File(path, self._white, lambda _: experiment if experiment != NO_EXPERIMENT else None).load()
        return replace(model, version=replace(model.version, registry_version=f"{version.name}/{version.number}"))


def _serve(source: "Source", settings: Settings) -> None:
    from reprocnn.serving import models, server

    served = models.Served(source)
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
    except (OSError, TypeError) as error:  # TypeError: the text can't be a host name
        reason = error.strerror if isinstance(error, OSError) else error
        problem = f"can't listen on port {settings.port} of {settings.host}: {reason}"
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
    if settings.token is not None and not re.fullmatch(r"[!-~][ -~]{14,}[!-~]", settings.token):
        raise UserError(
            f"{TOKEN} has {len(settings.token)} characters, expected at least 16, all of them ASCII, "
            "the first and last no space",
            f"export {TOKEN}=$(openssl rand -hex 16)",
        )
