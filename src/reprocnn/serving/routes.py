"""The routes that answer pictures, and those that say how the server is."""

from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from reprocnn.serving import answers
from reprocnn.serving import description as text
from reprocnn.serving.bodies import invocations_reader, predict_reader
from reprocnn.serving.metrics import Metrics
from reprocnn.serving.models import Served
from reprocnn.serving.pictures import read_all
from reprocnn.serving.reception import AGAIN, Reception
from reprocnn.serving.refused import RefusedError
from reprocnn.serving.settings import Limits


@dataclass(frozen=True)
class Routes:
    """What is done for each request.

    Args:
        served: the model that answers.
        limits: what a request may cost.
        reception: reads the requests.
        metrics: counts the answers.
    """

    served: Served
    limits: Limits
    reception: Reception
    metrics: Metrics

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to an application."""
        asked: dict[str, Any] = {"responses": text.RESPONSES, "methods": ["POST"], "tags": ["ask"]}
        predict = asked | {"response_model": text.Answers, "openapi_extra": text.PREDICT_BODY}
        invocations = asked | {"response_model": text.Predictions, "openapi_extra": text.INVOCATIONS_BODY}
        app.add_api_route("/predict", self.predict, **predict)
        app.add_api_route("/invocations", self.invocations, **invocations)
        app.add_api_route("/health", self.health, tags=["state"])
        app.add_api_route("/ping", self.health, include_in_schema=False)  # as MLflow's server has it
        app.add_api_route("/ready", self.ready, tags=["state"])
        app.add_api_route("/metrics", self.numbers, tags=["state"], response_class=Response)

    async def predict(
        self,
        request: Request,
        top: Annotated[int, Query(ge=1, description="classes per image")] = 3,
        min_confidence: Annotated[float, Query(ge=0, le=1, description="below it, an answer is unsure")] = 0.0,
        calibrated: Annotated[bool, Query(description="apply the temperature of the model")] = False,
    ) -> Response:
        """Say what is in images: files of a form, an image as it is, or images as base64 in JSON."""
        read = predict_reader(request, self.limits.images)
        question = answers.Question(top=top, min_confidence=min_confidence, calibrated=calibrated)

        def answer(body: bytes, late: Event) -> answers.Answered:
            return answers.predict(self.served.model, read(body), question, self._decoder(late))

        return self._sent(request, await self.reception.handle(request, answer))

    async def invocations(self, request: Request) -> Response:
        """Answer as `mlflow models serve` does; the table has images as base64 in the column `image`."""
        read = invocations_reader(request, self.limits.images)

        def answer(body: bytes, late: Event) -> answers.Answered:
            return answers.invocations(self.served.model, read(body), self._decoder(late))

        return self._sent(request, await self.reception.handle(request, answer))

    def _decoder(self, late: Event) -> answers.Decode:
        return partial(read_all, most_pixels=self.limits.pixels, late=late)

    def _sent(self, request: Request, answered: answers.Answered) -> Response:
        request.state.images = len(answered.classes)  # for the log
        self.metrics.count_answers(answered.classes)
        return JSONResponse(answered.content)

    async def health(self) -> dict[str, str]:
        """Say that the server runs."""
        return {"status": "ok"}

    async def ready(self) -> dict[str, str]:
        """Say whether it takes another request now."""
        if self.reception.is_full():
            raise RefusedError(503, "as many requests are waiting as may", "ask again in a second", AGAIN)
        return {"status": "ready"}

    async def numbers(self) -> Response:
        """Return numbers about the server for Prometheus."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)
