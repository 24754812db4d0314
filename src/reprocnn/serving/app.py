"""Put the server together."""

import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Event, Thread

from fastapi import FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from reprocnn.serving.gate import NO_ANSWER, Gate
from reprocnn.serving.metrics import Metrics
from reprocnn.serving.models import Served
from reprocnn.serving.pages import add_pages
from reprocnn.serving.pictures import limit_pillow
from reprocnn.serving.reception import Reception
from reprocnn.serving.refused import RefusedError
from reprocnn.serving.routes import Routes
from reprocnn.serving.settings import Settings


def build(served: Served, settings: Settings) -> Gate:
    """Return the application.

    Args:
        served: the model that answers.
        settings: what the server takes.
    """
    threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="answer")
    reception = Reception(settings.limits, threads)
    metrics = Metrics(served, lambda: reception.inside)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        limit_pillow()
        ended = Event()
        # The end of the server does not wait for this thread: MLflow may take a minute to answer.
        Thread(target=served.watch, args=(settings.watch, ended), name="watch", daemon=True).start()
        yield
        ended.set()
        threads.shutdown()

    # For /docs alone: the gate checks the token.
    asked = [Security(HTTPBearer(auto_error=False))] if settings.token else []
    app: FastAPI = FastAPIOffline(
        title="reprocnn", lifespan=lifespan, docs_url=None, redoc_url=None, dependencies=asked
    )
    Routes(served, settings.limits, reception, metrics).add_to(app)
    add_pages(app)
    _add_refusals(app)
    paths = {route.path for route in app.routes if isinstance(route, Route)}
    return Gate(app, metrics, settings.token, paths)


def _add_refusals(app: FastAPI) -> None:
    """Give all errors one form."""

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return error.response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        causes = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
        return RefusedError(422, causes, "/docs has the parameters").response(request.url.path)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        return RefusedError(error.status_code, error.detail, "/docs has the routes", error.headers).response(path)

    @app.exception_handler(Exception)
    async def bug(request: Request, _: Exception) -> Response:
        return RefusedError(500, "an error of the server", "its log has more").response(request.url.path)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=NO_ANSWER)
