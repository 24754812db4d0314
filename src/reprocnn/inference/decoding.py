"""Decode an image file to pixels of a given size."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from .bit_depth import exceeds_8_bits, to_8_bits
from .unreadable import UnreadableError, decode_failure, read_failure, refuse_by_name

MAX_PIXELS = 2**28
"""Largest accepted image, in pixels. Cameras have up to 200 million."""

_REDUCED = 3
"""JPEGs are decoded at 1/2, 1/4 or 1/8 of their size if they are then still this many times as large as the result."""

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
    mode, size = ("RGB" if color_mode == "rgb" else "L"), (image_size, image_size)
    with Image.open(BytesIO(content)) as opened:
        _refuse_too_large(opened)
        image: Image.Image = opened
        if exceeds_8_bits(opened, content):
            image = to_8_bits(opened, content, white)
        elif opened.format == "JPEG":
            opened.draft(None, (_REDUCED * image_size, _REDUCED * image_size))
        ImageOps.exif_transpose(image, in_place=True)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        if image.mode != mode:
            image = image.convert(mode)
        if image.size != size:
            image = ImageOps.fit(image, size)
        pixels = np.array(image, dtype=np.uint8)
    return pixels if color_mode == "rgb" else pixels[..., np.newaxis]


def _refuse_too_large(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableError(
            f"more than {MAX_PIXELS / 1e6:.0f} million pixels",
            "reduce its size, for example `magick a.png -resize 2000x2000 b.png`",
            f"{width}x{height}",
        )
