"""The routes of the server."""

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp

from reprocnn.serving import answers
from reprocnn.serving.bodies import invocations_reader, predict_reader
from reprocnn.serving.gate import Gate
from reprocnn.serving.metrics import Metrics
from reprocnn.serving.models import Served
from reprocnn.serving.pictures import limit_pillow
from reprocnn.serving.reception import AGAIN, Reception
from reprocnn.serving.refused import RefusedError
from reprocnn.serving.settings import Settings


def build(served: Served, settings: Settings) -> ASGIApp:
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
        watching = asyncio.create_task(served.watch(settings.watch))
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        threads.shutdown()

    app = FastAPI(title="reprocnn", lifespan=lifespan, docs_url=None, redoc_url=None)
    _add_states(app, reception, metrics)
    _add_answers(app, served, settings, reception, metrics)
    _add_problems(app)
    paths = {route.path for route in app.routes if isinstance(route, Route)}
    return Gate(app, metrics, settings.token, paths)


def _add_answers(app: FastAPI, served: Served, settings: Settings, reception: Reception, metrics: Metrics) -> None:
    """Add the routes that answer pictures."""
    limits = settings.limits

    def sent(request: Request, answered: answers.Answered) -> Response:
        request.state.images = len(answered.classes)
        metrics.count_answers(answered.classes)
        return JSONResponse(answered.content)

    @app.post("/predict")
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1)] = 3,
        min_confidence: Annotated[float, Query(ge=0, le=1)] = 0.0,
        calibrated: bool = False,
    ) -> Response:
        read = predict_reader(request, limits.images)
        question = answers.Question(top=top, min_confidence=min_confidence, calibrated=calibrated)

        def answer(body: bytes) -> answers.Answered:
            return answers.predict(served.model, read, body, question, most_pixels=limits.pixels)

        return sent(request, await reception.handle(request, answer))

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        read = invocations_reader(request, limits.images)

        def answer(body: bytes) -> answers.Answered:
            return answers.invocations(served.model, read, body, most_pixels=limits.pixels)

        return sent(request, await reception.handle(request, answer))


def _add_states(app: FastAPI, reception: Reception, metrics: Metrics) -> None:
    """Add the routes that say how the server is."""

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        if reception.is_full():
            raise RefusedError(503, "as many requests are waiting as may", "ask again in a second", AGAIN)
        return {"status": "ready"}

    @app.get("/metrics")
    async def numbers() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_problems(app: FastAPI) -> None:
    """Give all errors one form."""

    @app.exception_handler(RefusedError)
    async def problem(request: Request, error: RefusedError) -> Response:
        return error.response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        causes = [f"{found['loc'][-1]}: {found['msg']}" for found in error.errors()]
        return RefusedError(422, "; ".join(causes), "/docs has the parameters").response(request.url.path)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        return RefusedError(error.status_code, error.detail, "/docs has the routes", error.headers).response(
            request.url.path
        )

    @app.exception_handler(Exception)
    async def bug(request: Request, _: Exception) -> Response:
        return RefusedError(500, "an error of the server", "its log has more").response(request.url.path)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=499)
