"""What /docs says about the routes that answer pictures, with examples that can be tried there."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reprocnn.serving.models import Version

_DIGIT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAARUlEQVR4nAXBQRGAIAAAsB3nHxpoA2lCBCMZgQ"
    "wm0AbQwCMBRnBDaWcEbdZZLPYtj5SvIPWhE6SHRPBlMX9Y31JvcLSKH6APEeuUeJiVAAAAAElFTkSuQmCC"
)
"""A handwritten 0 of scikit-learn's digits as PNG in base64."""


class Probability(BaseModel):
    """A class and its probability."""

    class_: str = Field(alias="class")
    probability: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """What is in an image."""

    file: str = Field(description="name of the file in a form; else empty")
    class_: str = Field(alias="class", description="the most probable class")
    confidence: float = Field(ge=0, le=1, description="its probability")
    unsure: bool = Field(description="whether the confidence is below min_confidence")
    top: list[Probability] = Field(description="the most probable classes, the most probable first")


class Answers(BaseModel):
    """The answers, in the order of the images."""

    model: Version
    seconds: float = Field(description="time of decoding and answering")
    answers: list[Answer]


class Row(BaseModel):
    """A row of the table that the logged model `classifier` answers."""

    class_: str = Field(alias="class")
    confidence: float
    probabilities: list[float] = Field(description="of each class, in the order of the classes")


class Predictions(BaseModel):
    """What MLflow's server answers."""

    predictions: list[Row]


class Refused(BaseModel):
    """Why a request is refused."""

    model_config = ConfigDict(json_schema_extra={"example": {"error": "no token", "fix": "send the header ..."}})

    error: str
    fix: str


_REASONS = {
    400: "there is no image in the body, or it is broken",
    401: "the token is missing or wrong",
    403: "another host or a page of another site",
    408: "the request was too slow",
    413: "too many bytes, images or pixels",
    415: "another content type",
    422: "an image can't be decoded, or a parameter is wrong",
    429: "too many requests are waiting",
    503: "no answer in time",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Refused, "description": reason} for status, reason in _REASONS.items()
}


def _body(contents: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": contents}}


def _examples(**values: Any) -> dict[str, Any]:
    schema = {"schema": {"type": "object"}}
    return {"application/json": {"examples": {name: {"value": value} for name, value in values.items()}} | schema}


_FILES = {
    "type": "object",
    "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
PREDICT_BODY = _body(
    _examples(one={"image": _DIGIT}, many={"images": [_DIGIT, _DIGIT]})
    | {"multipart/form-data": {"schema": _FILES}, "image/*": {"schema": {"type": "string", "format": "binary"}}}
)
"""The bodies that /predict takes."""
INVOCATIONS_BODY = _body(
    _examples(
        dataframe_split={"dataframe_split": {"columns": ["image"], "data": [[_DIGIT]]}},
        dataframe_records={"dataframe_records": [{"image": _DIGIT}]},
        inputs={"inputs": [_DIGIT]},
    )
)
"""The bodies that /invocations takes."""
