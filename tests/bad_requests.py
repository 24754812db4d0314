"""Bad requests, each with the status and a part of the reason that it gets."""

import json
import struct
import zlib
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from servers import JSON, PNG, as_base64, png


class Bad(NamedTuple):
    """A bad request.

    Args:
        name: what is wrong with it.
        path: where it is sent.
        body: its body.
        headers: its headers.
        status: the status of the answer.
        reason: a part of the answer.
    """

    name: str
    path: str
    body: bytes
    headers: dict[str, str]
    status: int
    reason: str


RED = png((255, 0, 0))
R64 = as_base64(RED)
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def _form(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


def _file(content: bytes, name: str = "a.png") -> bytes:
    head = f'Content-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    return head.encode() + content


def grey_png(width: int, height: int) -> bytes:
    """A valid PNG of a few kilobytes with that many grey pixels of 0."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _saved(kind: str, **options: Any) -> bytes:
    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()


def _many_scans() -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    jpeg = _saved("JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * 200 + b"\xff\xd9"


def _text_chunk() -> bytes:
    """A PNG with a compressed text of 100 MB."""
    png_ = RED
    data = b"a\0\0" + zlib.compress(bytes(100_000_000))
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return png_[:33] + chunk + png_[33:]


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


def _sixteen_bits() -> bytes:
    file = BytesIO()
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(file, "PNG")
    return file.getvalue()


BAD = [
    Bad("empty image", "/predict", b"", PNG, 400, "empty"),
    Bad("empty json", "/predict", b"", JSON, 400, "empty"),
    Bad("empty form", "/predict", b"", FORM, 400, "empty"),
    Bad("no content type", "/predict", RED, {}, 415, "content type is ''"),
    Bad("text", "/predict", b"hello", {"Content-Type": "text/plain"}, 415, "text/plain"),
    Bad("urlencoded", "/predict", b"image=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "urlencoded"),
    Bad("csv", "/invocations", b"image\na", {"Content-Type": "text/csv"}, 415, "text/csv"),
    Bad("gzip", "/predict", RED, PNG | {"Content-Encoding": "gzip"}, 415, "compressed"),
    Bad("text as image", "/predict", b"hello", PNG, 422, "not an image"),
    Bad("truncated png", "/predict", _saved("PNG")[:500], PNG, 422, "truncated"),
    Bad("truncated jpeg", "/predict", _saved("JPEG")[:500], PNG, 422, "truncated"),
    Bad("half a header", "/predict", RED[:20], PNG, 422, "image 0"),
    Bad("corrupt png", "/predict", RED[:45] + b"\0\0\0\0" + RED[49:], PNG, 422, "image 0"),
    Bad("svg", "/predict", b"<svg xmlns='http://www.w3.org/2000/svg'/>", PNG, 422, "vector graphic"),
    Bad("eps", "/predict", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", PNG, 422, "vector graphic"),
    Bad("pdf", "/predict", b"%PDF-1.7\n", PNG, 422, "PDF"),
    Bad("zip", "/predict", b"PK\x03\x04" + bytes(50), PNG, 422, "archive"),
    Bad("pickle", "/predict", b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.", PNG, 422, "not an image"),
    Bad("camera raw file", "/predict", _form(_file(RED, "a.NEF")), FORM, 422, "camera raw file"),
    Bad("16 bits without white", "/predict", _sixteen_bits(), PNG, 422, "start the server with `--white`"),
    Bad("pixel bomb", "/predict", grey_png(30_000, 30_000), PNG, 413, "30000x30000 is more than 50,000,000 pixels"),
    Bad("text bomb in a png", "/predict", _text_chunk(), PNG, 422, "too much text"),
    Bad("jpeg of many scans", "/predict", _many_scans(), PNG, 422, "more than 50 scans"),
    Bad("100 MB", "/predict", bytes(100_000_000), PNG, 413, "more than 16,777,216 bytes"),
    Bad(
        "wrong base64",
        "/predict",
        _json(image="%%%"),
        JSON,
        400,
        "image 0: expected the bytes of an image file in base64",
    ),
    Bad("a path", "/predict", _json(image="/etc/passwd"), JSON, 400, "paths and addresses are not opened"),
    Bad("an address", "/predict", _json(images=["http://127.0.0.1:1/a.png"]), JSON, 400, "addresses are not opened"),
    Bad("base64 of text", "/predict", _json(images=[R64, as_base64(b"text")]), JSON, 422, "image 1: not an image"),
    Bad("empty base64", "/predict", _json(image=""), JSON, 422, "empty file"),
    Bad("broken json", "/predict", b'{"image": ', JSON, 400, "not JSON"),
    Bad("no utf-8", "/predict", b'{"image": "\xff\xfe"}', JSON, 400, "not JSON"),
    Bad("NaN", "/predict", b'{"image": NaN}', JSON, 400, "NaN is not a JSON value"),
    Bad("a number", "/predict", b"5", JSON, 400, "the JSON has no image"),
    Bad("a list", "/predict", b"[]", JSON, 400, "the JSON has no image"),
    Bad("no images", "/predict", _json(images=[]), JSON, 400, "the JSON has no image"),
    Bad("numbers as images", "/predict", _json(images=[1.5]), JSON, 400, "found float"),
    Bad("an unknown key", "/predict", _json(image=R64, url="http://a"), JSON, 400, "the JSON has no image"),
    Bad("deep json", "/predict", b"[" * 20_000, JSON, 400, "nested too deeply"),
    Bad(
        "a million values", "/predict", b"[" + b"[]," * 1_000_000 + b"1]", JSON, 413, "more values than 256 images have"
    ),
    Bad("a number of a million digits", "/predict", b'{"image": ' + b"1" * 1_000_000 + b"}", JSON, 400, "not JSON"),
    Bad("10,000 images", "/predict", _json(images=[R64] * 10_000), JSON, 413, "more than 256 images"),
    Bad("300 files", "/predict", _form(*[_file(RED)] * 300), FORM, 413, "more than 256 images"),
    Bad(
        "a field instead of a file",
        "/predict",
        _form(b'Content-Disposition: form-data; name="a"\r\n\r\nb'),
        FORM,
        400,
        "'a' is not a file",
    ),
    Bad("a form without files", "/predict", b"--x--\r\n", FORM, 400, "form"),
    Bad("a form that ends early", "/predict", _form(_file(RED), end=b""), FORM, 400, "ends early"),
    Bad(
        "a form without boundary",
        "/predict",
        _form(_file(RED)),
        {"Content-Type": "multipart/form-data"},
        400,
        "not a form",
    ),
    Bad(
        "another boundary",
        "/predict",
        _form(_file(RED)),
        {"Content-Type": "multipart/form-data; boundary=y"},
        400,
        "form",
    ),
    Bad("an empty file in a form", "/predict", _form(_file(b"", "e.png")), FORM, 422, "image 0 (e.png): empty file"),
    Bad("top=0", "/predict?top=0", RED, PNG, 422, "top: Input should be greater than or equal to 1"),
    Bad("min_confidence=nan", "/predict?min_confidence=nan", RED, PNG, 422, "min_confidence"),
    Bad("another path", "/predictions", RED, PNG, 404, "Not Found"),
    Bad("no table", "/invocations", _json(image=R64), JSON, 400, "dataframe_split"),
    Bad("two tables", "/invocations", _json(inputs=[R64], instances=[R64]), JSON, 400, "dataframe_split"),
    Bad(
        "another column", "/invocations", _json(dataframe_split={"columns": ["a"], "data": [[R64]]}), JSON, 400, "image"
    ),
    Bad(
        "a row too short",
        "/invocations",
        _json(dataframe_split={"columns": ["a", "image"], "data": [[R64]]}),
        JSON,
        400,
        "row 0",
    ),
    Bad("pixels instead of text", "/invocations", _json(inputs=[[[0.5] * 8] * 8]), JSON, 400, "row 0: expected"),
    Bad("null", "/invocations", _json(dataframe_records=[{"image": None}]), JSON, 400, "found NoneType"),
    Bad(
        "a table of a path",
        "/invocations",
        _json(inputs=["/etc/passwd"]),
        JSON,
        400,
        "paths and addresses are not opened",
    ),
]
