"""Read the images out of the body of a request. Everything is in the body: no path or address in it is opened."""

import base64
import json
from collections.abc import Callable
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from reprocnn.serving.refused import RefusedError

Picture = tuple[str, bytes]
"""The name of an image, perhaps empty, and the bytes of its file."""

_VALUES_PER_IMAGE = 100
"""JSON with more values than this per image is refused: small values need much more memory than their text."""
_KINDS = "send an image as `Content-Type: image/*`, files as `multipart/form-data`, or `application/json`"
_EXAMPLE = '{"image": "BASE64"} or {"images": ["BASE64", ...]}'
_TABLES = "one of dataframe_split, dataframe_records, inputs, with the column `image`"


def predict_reader(request: Request, most: int) -> Callable[[bytes], list[Picture]]:
    """Return the function that reads the images of a request to /predict, by its content type.

    Args:
        request: the request, whose headers are read.
        most: the most images.

    Raises:
        RefusedError: the content type is another one. The function raises it if the body is wrong.
    """
    kind, options = _content_type(request)
    if kind == "multipart/form-data":
        return lambda body: _form_files(body, options.get(b"boundary", b""), most)
    if kind == "application/json":
        return lambda body: _json_pictures(body, most)
    if kind.startswith("image/") or kind == "application/octet-stream":
        return lambda body: [("", _not_empty(body))]
    raise RefusedError(415, f"the content type is {kind[:100]!r}", _KINDS)


def invocations_reader(request: Request, most: int) -> Callable[[bytes], list[Picture]]:
    """Return the function that reads the images of a request to /invocations; see `predict_reader`."""
    kind, _ = _content_type(request)
    if kind != "application/json":
        raise RefusedError(415, f"the content type is {kind[:100]!r}", "send `Content-Type: application/json`")
    return lambda body: _decode_all(_column(_parse(body, most)), most, "row")


def _content_type(request: Request) -> tuple[str, dict[bytes, bytes]]:
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "the body is compressed", "send it without `Content-Encoding`")
    kind, options = parse_options_header(request.headers.get("content-type"))
    return kind.decode("latin-1").lower(), options


def _not_empty(body: bytes) -> bytes:
    if not body:
        raise RefusedError(400, "the body is empty", _KINDS)
    return body


def _form_files(body: bytes, boundary: bytes, most: int) -> list[Picture]:
    """Read the files of a form, in memory."""
    files: list[Picture] = []
    ended: list[bool] = []

    def add(file: File) -> None:
        if len(files) == most:
            raise _too_many(most)
        name = (file.file_name or b"").decode("utf-8", "replace")
        file.file_object.seek(0)
        files.append((name, file.file_object.read()))

    def refuse(field: Field) -> None:
        name = (field.field_name or b"").decode("utf-8", "replace")
        raise RefusedError(400, f"the field {name[:100]!r} is not a file", "send files, as `curl -F image=@FILE` does")

    config = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
    try:
        parser = FormParser("multipart/form-data", refuse, add, lambda: ended.append(True), boundary, config=config)
        parser.write(_not_empty(body))
        parser.finalize()
    except FormParserError as error:
        raise RefusedError(400, f"not a form: {error}", "send files, as `curl -F image=@FILE` does") from None
    if not ended:
        raise RefusedError(400, "the form ends early", "send it again")
    if not files:
        raise RefusedError(400, "the form has no file", "send files, as `curl -F image=@FILE` does")
    return files


def _json_pictures(body: bytes, most: int) -> list[Picture]:
    match _parse(_not_empty(body), most):
        case {"image": str() as value, **others} if not others:
            return _decode_all([value], most, "image")
        case {"images": [_, *_] as values, **others} if not others:
            return _decode_all(values, most, "image")
    raise RefusedError(400, "the JSON has no image", f"send {_EXAMPLE}")


def _parse(body: bytes, most: int) -> Any:
    """Parse JSON that has images in base64, whose texts have no comma or bracket."""
    if sum(map(body.count, (b",", b"[", b"{"))) > _VALUES_PER_IMAGE * (most + 1):
        raise RefusedError(
            413, f"more values than {most} images have", "send fewer images; `--max-images` sets the limit"
        )
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise RefusedError(400, "not JSON: the brackets are nested too deeply", f"send {_EXAMPLE}") from None
    except ValueError as error:
        raise RefusedError(400, f"not JSON: {error}", "check quotes and commas") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _column(body: Any) -> list[Any]:
    """Return the values of the column `image` of what a client of MLflow sends."""
    formats = {"dataframe_split", "dataframe_records", "inputs", "instances"}
    if not isinstance(body, dict) or len(found := formats & set(body)) != 1:
        raise RefusedError(400, "the JSON is not an object with a table", f"send {_TABLES}")
    (name,) = found
    match name, body[name]:
        case "dataframe_split", {"columns": list() as columns, "data": list() as rows} if "image" in columns:
            return [_cell(row, columns) for row in rows]
        case "inputs" | "instances", {"image": value}:
            return value if isinstance(value, list) else [value]
        case "inputs" | "instances", list() as values if not any(isinstance(value, dict) for value in values):
            return values
        case "dataframe_records" | "inputs" | "instances", list() as rows:
            return [row.get("image") if isinstance(row, dict) else row for row in rows]
    raise RefusedError(400, f"{name} has no column `image`", f"send {_TABLES}")


def _cell(row: Any, columns: list[Any]) -> Any:
    if not isinstance(row, list):
        return row if len(columns) == 1 else None
    return row[columns.index("image")] if len(row) == len(columns) else None


def _decode_all(values: list[Any], most: int, unit: str) -> list[Picture]:
    if len(values) > most:
        raise _too_many(most)
    return [("", _decode(value, f"{unit} {number}")) for number, value in enumerate(values)]


def _decode(value: Any, where: str) -> bytes:
    """Decode base64, which programs such as `base64` break into lines."""
    expected = f"{where}: expected the bytes of an image file in base64"
    if not isinstance(value, str):
        raise RefusedError(400, f"{expected}, found {type(value).__name__}", "send text")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except ValueError as error:
        fix = "encode the file, for example with `base64 FILE`; paths and addresses are not opened"
        raise RefusedError(400, f"{expected}, found other text: {error}", fix) from None


def _too_many(most: int) -> RefusedError:
    return RefusedError(413, f"more than {most} images", "send them in several requests; `--max-images` sets the limit")
