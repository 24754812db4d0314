"""Decode an image file to pixels of a given size."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from .bit_depth import exceeds_8_bits, to_8_bits
from .unreadable import UnreadableError, decode_failure, read_failure, refuse_by_name

MAX_PIXELS = 2**28
"""Largest accepted image, in pixels. Cameras have up to 200 million."""

_REDUCED = 3
"""JPEGs are decoded at a reduced size if they are then still this many times as large as the result. On sharp
photographs the result then differs from that of the full size by less than 0.5 of 255 levels in the mean."""
_COLOURS = {"YCbCr": "RGB", "Gray": "GRAY"}
"""Colours of ordinary JPEGs -> what they are decoded to."""
_ORIENTED = (b"Exif\0", b"http://ns.adobe.com/xap/")
"""How data that may have an orientation begin."""
_APP1, _SCAN = b"\xff\xe1", b"\xff\xda"
"""How a segment of a JPEG begins that may have such data, and the one that its pixels follow."""

# Pillow's limits protect servers from malicious uploads. These files are the user's own, and MAX_PIXELS limits memory.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2**27


def read_image(
    name: str, read: Callable[[], bytes], image_size: int, color_mode: str, white: float | None
) -> NDArray[np.uint8]:
    """Read and decode an image file.

    Args:
        name: the file name; its suffix shows whether it is a camera's raw file.
        read: function that returns the bytes of the file.
        image_size: height and width of the result in pixels.
        color_mode: `rgb` or `grayscale`.
        white: the value of white, see `decode`.

    Returns:
        uint8 (image_size, image_size, 3 for `rgb` or 1 for `grayscale`), 0-255.

    Raises:
        UnreadableError: the file can't be read or decoded; has the cause and the fix.
        FileNotFoundError: the file was deleted in the meantime.
    """
    refuse_by_name(name)
    try:
        content = read()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not Path(error.filename).is_symlink():
            raise
        raise read_failure(error) from None
    try:
        return decode(content, image_size, color_mode, white)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises a dozen kinds of exceptions on corrupt files
        raise decode_failure(error, content) from None


def decode(content: bytes, image_size: int, color_mode: str, white: float | None = None) -> NDArray[np.uint8]:
    """Decode an image of any format, size and mode that Pillow supports.

    The image is rotated as its EXIF orientation says, its transparent parts are filled with white, and it is cropped to
    a centred square and resized.

    Args:
        content: the bytes of the file.
        image_size: height and width of the result in pixels.
        color_mode: `rgb` or `grayscale`.
        white: the value of white for images with more than 8 bits per channel, used only if the file doesn't say it;
            None if unknown.

    Returns:
        uint8 (image_size, image_size, 3 for `rgb` or 1 for `grayscale`), 0-255.

    Raises:
        WhiteError: the value of white is unknown, or a pixel is outside 0 to white.
        UnreadableError: the image is too large, or Pillow can't read all its bits.
        Exception: the content is corrupt or not an image; the type depends on the format.
    """
    n_channels = 3 if color_mode == "rgb" else 1
    jpeg = _decode_jpeg(content, image_size)
    if jpeg and jpeg.pixels.shape == (image_size, image_size, n_channels) and not _may_be_rotated(content):
        return jpeg.pixels
    image = _jpeg_image(jpeg, content, image_size) if jpeg else _open(content, white)
    ImageOps.exif_transpose(image, in_place=True)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != (mode := "RGB" if color_mode == "rgb" else "L"):
        image = image.convert(mode)
    if image.size != (size := (image_size, image_size)):
        image = ImageOps.fit(image, size)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if color_mode == "rgb" else pixels[..., np.newaxis]


class _Jpeg(NamedTuple):
    """A decoded JPEG.

    Args:
        pixels: uint8 (height, width, 3 or 1), 0-255.
        full_size: width and height of the picture in the file.
    """

    pixels: NDArray[np.uint8]
    full_size: tuple[int, int]


def _decode_jpeg(content: bytes, image_size: int) -> _Jpeg | None:
    """Decode an ordinary JPEG; a large one at a reduced size.

    simplejpeg gives the pixels that Pillow gives, in less time.

    Returns:
        None if it is something else, or Pillow has to say what is wrong with it.
    """
    least = _REDUCED * image_size
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in _COLOURS or width * height > MAX_PIXELS:
            return None
        pixels = simplejpeg.decode_jpeg(content, _COLOURS[colours], min_height=least, min_width=least)
    except ValueError:
        return None
    return _Jpeg(pixels, (width, height))


def _may_be_rotated(content: bytes) -> bool:
    """Tell whether a JPEG has data that may have an orientation, perhaps after a long colour profile."""
    start = 2
    while (mark := content[start : start + 2]) != _SCAN:
        if not mark.startswith(b"\xff") or (mark == _APP1 and content.startswith(_ORIENTED, start + 4)):
            return True  # of a file with an unusual header, too: Pillow looks
        start += 2 + int.from_bytes(content[start + 2 : start + 4])
    return False


def _jpeg_image(jpeg: _Jpeg, content: bytes, image_size: int) -> Image.Image:
    """Return a decoded JPEG with its EXIF data, cropped and resized if its size was reduced."""
    pixels, full_size = jpeg
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    if image.size != full_size:
        image = _fit_reduced(image, full_size, image_size)
    if _may_be_rotated(content):
        with Image.open(BytesIO(content)) as opened:  # reads the header only
            image.info = opened.info
    return image


def _fit_reduced(image: Image.Image, full_size: tuple[int, int], image_size: int) -> Image.Image:
    """Crop a JPEG of reduced size to a centred square, and resize it.

    libjpeg rounds the reduced height and width up: the last row and column are only partly covered by the picture. So
    the square is computed from the full size.

    Args:
        image: the reduced image.
        full_size: width and height of the picture in the file.
        image_size: height and width of the result.
    """
    scale = next(n / 8 for n in range(1, 8) if image.size == tuple(-(-side * n // 8) for side in full_size))
    width, height = (side * scale for side in full_size)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return image.resize((image_size, image_size), Image.Resampling.BICUBIC, (left, top, left + side, top + side))


def _open(content: bytes, white: float | None) -> Image.Image:
    """Decode an image with Pillow."""
    with Image.open(BytesIO(content)) as opened:
        _refuse_too_large(opened)
        if exceeds_8_bits(opened, content):
            return to_8_bits(opened, content, white)
        opened.load()
        return opened


def _refuse_too_large(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableError(
            f"more than {MAX_PIXELS / 1e6:.0f} million pixels",
            "reduce its size, for example `magick a.png -resize 2000x2000 b.png`",
            f"{width}x{height}",
        )
