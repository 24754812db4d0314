"""What /docs says about the routes that answer pictures, with examples that can be tried there."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from reprocnn.serving.models import Version

_DIGIT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAARUlEQVR4nAXBQRGAIAAAsB3nHxpoA2lCBCMZgQ"
    "wm0AbQwCMBRnBDaWcEbdZZLPYtj5SvIPWhE6SHRPBlMX9Y31JvcLSKH6APEeuUeJiVAAAAAElFTkSuQmCC"
)
"""A handwritten 0 of scikit-learn's digits as PNG in base64."""

_EXAMPLE: dict[str, Any] = {
    "model": {
        "hash": "a7d433415c821e445f4353f15640428f",
        "dataset": "digits",
        "architecture": "deep_cnn",
        "experiment": "slow",
        "registry_version": None,
    },
    "seconds": 0.001,
    "answers": [
        {
            "file": "",
            "class": "0",
            "confidence": 0.999987,
            "unsure": False,
            "top": [{"class": "0", "probability": 0.999987}, {"class": "2", "probability": 6e-06}],
        }
    ],
}


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

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

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

    error: str
    fix: str


_REASONS = {
    400: ("no image in the body, or a broken body", "image 0: expected the bytes of an image file in base64, ..."),
    401: ("a missing or wrong token", "wrong token"),
    403: ("another host, or a page of another site", "the host 'example.com' is not this machine"),
    408: ("too slow", "the request was not complete after 30 s"),
    413: ("too many bytes, images or pixels", "image 0: 30000x30000 is more than 50,000,000 pixels"),
    415: ("another content type", "the content type is 'text/plain'"),
    422: ("an image that can't be decoded, or a wrong parameter", "image 0: truncated: the file ends early"),
    429: ("too many requests are waiting", "64 requests are waiting"),
    503: ("no answer in time", "no answer within 30 s"),
}
"""Status -> what it means, and an example."""
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "model": Refused,
        "description": meaning,
        "content": {"application/json": {"example": {"error": example, "fix": "..."}}},
    }
    for status, (meaning, example) in _REASONS.items()
}
"""The answers to requests that are refused."""


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
