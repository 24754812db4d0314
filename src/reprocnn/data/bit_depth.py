"""Find the value of white in images of more than 8 bits per channel, and scale them to 8 bits.

A 16-bit file may use 10, 12, 14 or 16 bits. If it does not say which, a dark image can't be told from a narrow range.
"""

import re
import struct
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from reprocnn.data.unreadable import Unreadable

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE, _PLANAR, _S_MAX_SAMPLE = 258, 262, 281, 284, 341  # tags of TIFF
_ORIENTATION = 0x0112  # tag of EXIF
_FULL = 65535


def is_deep(image: ImageFile.ImageFile, content: bytes) -> bool:
    """Return whether an image has more than 8 bits per channel, even if Pillow returns 8. It must not be loaded yet."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return True
    if image.format == "JPEG2000":
        return _jpeg2000_bits(content) == 16  # the header states fewer bits, and Pillow scales by it
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8
    return any(tile.codec_name == "SGI16" or re.search(r";16[BLN]$", _raw_mode(tile)) for tile in image.tile)


def to_8_bits(image: ImageFile.ImageFile, content: bytes, white: float | None) -> Image.Image:
    """Scale the values of an image to 8 bits, so that white becomes 255.

    Args:
        image: opened, not loaded.
        content: the content of the file.
        white: the value of white if the file does not say; None: unknown.

    Raises:
        Unreadable: the value of white is unknown, a value is above it, or Pillow returns only the upper bits.
    """
    values = _values(image, content)
    white = _white_of(image, content, values) or white
    colours = values[..., :3] if values.ndim == 3 else values
    low, high = colours.min(), colours.max()
    if white is None:
        raise Unreadable(
            "of more than 8 bits per channel, and the file does not say which value is white",
            "name it: `-S white=4095` for images of 12 bits, `-S white=65535` for 16; 1 for floats from 0 to 1",
            f"largest value {high:g}",
        )
    if not (low >= 0 and high <= white):
        raise Unreadable(f"with values outside of 0 to white={white:g}", "name another `white`", f"{low:g} to {high:g}")
    scaled = _scaled(values, white)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0:  # 0 is white
        scaled = 255 - scaled
    made = Image.fromarray(scaled)
    made.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
    return made


def _scaled(values: NDArray[np.generic], white: float) -> NDArray[np.uint8]:
    scaled = (values.astype(np.float32) * 255 / white).clip(0, 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 4 and values[..., 3].max() > white:
        scaled[..., 3] = values[..., 3] >> 8  # type: ignore[operator]  # opacity has the full range, colours a narrower one
    return scaled


def _values(image: ImageFile.ImageFile, content: bytes) -> NDArray[np.generic]:
    """Read the values of the file: (height, width), or (height, width, 3 or 4).

    For colours Pillow returns the upper bytes; with the byte order reversed it returns the lower bytes.
    """
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return np.asarray(image)
    tiles = [(tile, re.fullmatch(r"(RGB|RGBA|RGBX);16([BLN])", _raw_mode(tile))) for tile in image.tile]
    planar = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PLANAR) == 2
    if planar or not tiles or not all(found for _, found in tiles):
        raise Unreadable(
            "of 16 bits per channel in a form that is not read", "save it as PNG of 8 bits, or as 16-bit RGB"
        )
    upper = np.asarray(image).astype(np.uint16)
    with Image.open(BytesIO(content)) as other:
        other.tile = [_with_other_order(tile) for tile in other.tile]
        return upper << 8 | np.asarray(other)


def _with_other_order(tile: ImageFile._Tile) -> ImageFile._Tile:
    raw = _raw_mode(tile)
    swapped = raw[:-1] + ("L" if raw[-1] == "B" else "B")
    return tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped)


def _raw_mode(tile: ImageFile._Tile) -> str:
    first = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
    return first if isinstance(first, str) else ""


def _white_of(image: ImageFile.ImageFile, content: bytes, values: NDArray[np.generic]) -> float | None:
    """Return the value of white that the file states; None if it states none."""
    if image.format == "PPM":
        return _FULL  # Pillow scales by the header
    if image.format == "JPEG2000":
        bits = _jpeg2000_bits(content)
        return None if bits == 16 else ((1 << bits) - 1) << (16 - bits)  # Pillow shifts them up
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
        most = int(max(value) if isinstance(value, tuple) else value or 0)
        # A range ends at 2^n - 1; some programs write the largest value of the image instead.
        if most > 255 and most & (most + 1) == 0 and most >= largest:
            return most
    return None


def _png_white(content: bytes, values: NDArray[np.generic]) -> float | None:
    """Return the value of white of a PNG; None if unknown.

    By the specification values fill 16 bits, and the chunk sBIT gives the number of significant bits. The low bits show
    whether a program wrote the chunk without scaling the values.
    """
    bits = _significant_bits(content)
    if bits is None:
        return None
    upper = values >> (16 - bits) << (16 - bits)  # type: ignore[operator]
    rest = values - upper
    fills = (rest == 0) | (rest == upper >> bits)
    return (1 << bits) - 1 if values.max() < 1 << bits and not fills.all() else _FULL


def _significant_bits(content: bytes) -> int | None:
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
    """Return the bits of the first channel, from the marker SIZ at the start of the codestream."""
    start = content.index(b"\xff\x4f\xff\x51")
    return (content[start + 42] & 0x7F) + 1
