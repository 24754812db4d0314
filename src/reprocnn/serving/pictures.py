"""Decode images that anybody may have sent."""

from io import BytesIO
from threading import Event

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from reprocnn.inference.info import ModelInfo
from reprocnn.inference.pictures import read_picture
from reprocnn.inference.unreadable import UnreadableError, decode_failure
from reprocnn.serving.bodies import Picture
from reprocnn.serving.refused import RefusedError

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""The formats that are read. Pillow has more: some of them start another program, few are tested with hostile files."""
_MOST_SCANS = 50
"""A JPEG has one to a dozen scans of all its pixels; each needs the time of a decoding and may be a few bytes long."""
_FIX_WHITE = "save it with 8 bits per channel, or start the server with `--white`"


def limit_pillow() -> None:
    """Set the limits of Pillow for this process to those for files of others."""
    PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = 2**20, 2**24


def read_all(info: ModelInfo, pictures: list[Picture], most_pixels: int, late: Event) -> NDArray[np.uint8]:
    """Decode images.

    Args:
        info: the model; has the size and the colour mode of its images.
        pictures: the images.
        most_pixels: the most pixels of an image.
        late: set once nobody waits for the images.

    Returns:
        uint8 (n, height, width, channels), 0-255.

    Raises:
        RefusedError: an image can't be decoded or has too many pixels, which it names; or `late` is set.
    """
    pixels = []
    for number, picture in enumerate(pictures):
        if late.is_set():
            raise RefusedError(503, "out of time", "ask with fewer or smaller images")
        pixels.append(_read(info, number, picture, most_pixels))
    return np.asarray(pixels, np.uint8).reshape(-1, *info.image_shape)


def _read(info: ModelInfo, number: int, picture: Picture, most_pixels: int) -> NDArray[np.uint8]:
    name, content = picture
    where = f"image {number}" + (f" ({name[:100]})" if name else "")
    try:
        _check(content, where, most_pixels)
        return read_picture(info, name, lambda: content)
    except UnreadableError as error:
        detail = f" ({error.detail})" if error.detail else ""
        fix = _FIX_WHITE if "--white" in error.fix else error.fix
        raise RefusedError(422, f"{where}: {error.cause}{detail}", fix) from None


def _check(content: bytes, where: str, most_pixels: int) -> None:
    """Check the format and the size of an image before its pixels are decoded."""
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            (width, height), is_jpeg = image.size, image.format in {"JPEG", "MPO"}
    except Exception as error:  # Pillow raises a dozen kinds of exceptions on corrupt files
        raise decode_failure(error, content) from None
    if width * height > most_pixels:
        fix = "reduce its size; `--max-pixels` sets the limit"
        raise RefusedError(413, f"{where}: {width}x{height} is more than {most_pixels:,} pixels", fix)
    if is_jpeg and content.count(b"\xff\xda") > _MOST_SCANS:
        raise UnreadableError(f"a JPEG with more than {_MOST_SCANS} scans", "save it again")
