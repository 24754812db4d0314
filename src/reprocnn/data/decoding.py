"""Decode one image: from the bytes of a file to pixels of a given size."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from reprocnn.data.bit_depth import is_deep, to_8_bits
from reprocnn.data.unreadable import Unreadable, not_decoded, not_readable, refuse_by_name
from reprocnn.params import ColorMode

MOST_PIXELS = 2**28
"""Maximum number of pixels of an image; cameras have at most 200 million."""

# Pillow's limit protects servers from uploads. These are the user's own files, and MOST_PIXELS limits the memory.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2**27


def read_image(
    name: str, read: Callable[[], bytes], image_size: int, color_mode: ColorMode, white: float | None
) -> NDArray[np.uint8]:
    """Read and decode one file.

    Raises:
        Unreadable: the file can't be read as an image; states the cause and its fix.
        FileNotFoundError: the file was removed.
    """
    refuse_by_name(name)
    try:
        content = read()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not Path(error.filename).is_symlink():
            raise
        raise not_readable(error) from None
    try:
        return decode(content, image_size, color_mode, white)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions for broken files
        raise not_decoded(error, content) from None


def decode(content: bytes, image_size: int, color_mode: ColorMode, white: float | None = None) -> NDArray[np.uint8]:
    """Decode an image of any format, size and mode.

    It is rotated as its EXIF data say, put on white if it is transparent, cropped to a centred square, and resized.

    Args:
        content: the content of the file.
        image_size: pixels per side of the result.
        color_mode: `rgb` or `grayscale`.
        white: value of white in images of more than 8 bits per channel, if the file does not say; None: unknown.

    Returns:
        uint8 (image_size, image_size, 3 for `rgb` or 1 for `grayscale`), 0-255.

    Raises:
        Unreadable: the value of white is unknown, or the image is too large.
        Exception: of many kinds, if the content is not an image or is broken.
    """
    with Image.open(BytesIO(content)) as opened:
        _refuse_too_large(opened)
        image = to_8_bits(opened, content, white) if is_deep(opened, content) else opened
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB" if color_mode == "rgb" else "L")
        if image.size != (image_size, image_size):
            image = ImageOps.fit(image, (image_size, image_size))
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels if color_mode == "rgb" else pixels[..., np.newaxis]


def _refuse_too_large(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Unreadable(
            f"of more than {MOST_PIXELS / 1e6:.0f} million pixels",
            "make it smaller, for example `magick a.png -resize 2000x2000 b.png`",
            f"{width}x{height}",
        )
