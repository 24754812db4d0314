"""Convert images with more than 8 bits per channel to 8 bits.

This needs the value of white: a 16-bit file may contain values of 10, 12, 14 or 16 bits. If the file doesn't say which,
a dark 16-bit image looks the same as a bright 12-bit one.
"""

import re
import struct
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from .unreadable import UnreadableError, WhiteError

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE, _PLANAR, _S_MAX_SAMPLE = 258, 262, 281, 284, 341  # TIFF tags
_ORIENTATION = 0x0112  # EXIF tag
_WHITE_16_BITS = 65535


def exceeds_8_bits(image: ImageFile.ImageFile, content: bytes) -> bool:
    """Return whether an image has more than 8 bits per channel in the file; Pillow may reduce it to 8 on loading.

    Args:
        image: the opened image, not loaded yet.
        content: the bytes of the file.
    """
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return True
    if image.format == "JPEG2000":
        return _jpeg2000_bits(content) == 16  # Pillow itself scales values of fewer bits, as the header says
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8
    return any(tile.codec_name == "SGI16" or re.search(r";16[BLN]$", _raw_mode(tile)) for tile in image.tile)


def to_8_bits(image: ImageFile.ImageFile, content: bytes, white: float | None) -> Image.Image:
    """Scale the values of an image to 8 bits, so that 0 stays 0 and white becomes 255.

    Args:
        image: the opened image, not loaded yet.
        content: the bytes of the file.
        white: the value of white, used only if the file doesn't say it; None if unknown.

    Returns:
        An image with 8 bits per channel and the EXIF orientation of the original.

    Raises:
        WhiteError: the value of white is unknown, or a pixel is outside 0 to white.
        UnreadableError: Pillow can't read all bits.
    """
    values = _values(image, content)
    white = _white_of(image, content, values) or white
    colours = values[..., :3] if values.ndim == 3 else values
    low, high = colours.min(), colours.max()
    if white is None:
        raise WhiteError(
            "more than 8 bits per channel, and the file doesn't say which value is white",
            "set it: `-S white=4095` for 12 bits, `-S white=65535` for 16 bits, `-S white=1` for floats from 0 to 1",
            f"largest value {high:g}",
        )
    if not (low >= 0 and high <= white):
        raise WhiteError(f"values outside 0 to white={white:g}", "set `white` to another value", f"{low:g} to {high:g}")
    scaled = _scale(values, white)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0:  # 0 is white
        scaled = 255 - scaled
    result = Image.fromarray(scaled)
    result.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    return result


def _scale(values: NDArray[np.generic], white: float) -> NDArray[np.uint8]:
    scaled = (values.astype(np.float32) * 255 / white).clip(0, 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 4 and values[..., 3].max() > white:
        scaled[..., 3] = values[..., 3] >> 8  # type: ignore[operator]  # 16-bit opacity beside colours of fewer bits
    return scaled


def _values(image: ImageFile.ImageFile, content: bytes) -> NDArray[np.generic]:
    """Return the values in the file, of shape (height, width) or (height, width, 3 or 4).

    Of 16-bit colour values Pillow returns only the upper byte. With the byte order swapped it returns the lower byte,
    so two reads give all 16 bits.
    """
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return np.asarray(image)
    tiles = [(tile, re.fullmatch(r"(RGB|RGBA|RGBX);16([BLN])", _raw_mode(tile))) for tile in image.tile]
    planar = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PLANAR) == 2
    if planar or not tiles or not all(found for _, found in tiles):
        raise UnreadableError(
            "16 bits per channel in an unsupported format", "save it as an 8-bit PNG, or as 16-bit RGB"
        )
    upper = np.asarray(image).astype(np.uint16)
    with Image.open(BytesIO(content)) as other:
        other.tile = [_swap_byte_order(tile) for tile in other.tile]
        return upper << 8 | np.asarray(other)


def _swap_byte_order(tile: ImageFile._Tile) -> ImageFile._Tile:
    raw = _raw_mode(tile)
    swapped = raw[:-1] + ("L" if raw[-1] == "B" else "B")
    return tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped)


def _raw_mode(tile: ImageFile._Tile) -> str:
    first = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
    return first if isinstance(first, str) else ""


def _white_of(image: ImageFile.ImageFile, content: bytes, values: NDArray[np.generic]) -> float | None:
    """Return the value of white that the file specifies, or None."""
    if image.format == "PPM":
        return _WHITE_16_BITS  # Pillow scales the values, as the header says
    if image.format == "JPEG2000":
        bits = _jpeg2000_bits(content)
        return None if bits == 16 else ((1 << bits) - 1) << (16 - bits)  # Pillow shifts values to the upper bits
    if image.format == "PNG":
        return _png_white(content, values)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode.startswith("I;16"):
        return _tiff_white(image.tag_v2, float(values.max()))
    return None


def _tiff_white(tags: TiffImagePlugin.ImageFileDirectory_v2, largest: float) -> float | None:
    if (bits := max(tags[_BITS_PER_SAMPLE])) < 16:
        return (1 << bits) - 1
    for tag in (_MAX_SAMPLE, _S_MAX_SAMPLE):
        value = tags.get(tag)
        limit = int(max(value) if isinstance(value, tuple) else value or 0)
        # Accept only 2^n - 1: some programs write the largest value in the image instead of the limit.
        if limit > 255 and limit & (limit + 1) == 0 and limit >= largest:
            return limit
    return None


def _png_white(content: bytes, values: NDArray[np.generic]) -> float | None:
    """Return the value of white of a 16-bit PNG, or None if it has no sBIT chunk.

    The chunk gives the number of significant bits. The PNG specification says that values are scaled to 16 bits
    nevertheless. Some programs don't scale them; then the low bits are neither zero nor a repetition of the high bits.
    """
    bits = _significant_bits(content)
    if bits is None:
        return None
    upper = values >> (16 - bits) << (16 - bits)  # type: ignore[operator]
    low = values - upper
    scaled = (low == 0) | (low == upper >> bits)
    return (1 << bits) - 1 if values.max() < 1 << bits and not scaled.all() else _WHITE_16_BITS


def _significant_bits(content: bytes) -> int | None:
    """Return the largest number in the sBIT chunk of a PNG, or None without the chunk."""
    start = 8
    while start + 8 < len(content):
        size, kind = struct.unpack(">I4s", content[start : start + 8])
        if kind == b"sBIT":
            return max(content[start + 8 : start + 8 + size])
        if kind == b"IDAT":
            break
        start += size + 12
    return None


def _jpeg2000_bits(content: bytes) -> int:
    """Return the bits of the first channel, from the SIZ marker at the start of the codestream."""
    start = content.index(b"\xff\x4f\xff\x51")
    return (content[start + 42] & 0x7F) + 1
