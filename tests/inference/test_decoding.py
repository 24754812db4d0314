import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reprocnn.inference import decoding
from reprocnn.inference.unreadable import UnreadableError

TWELVE = np.array([[0, 1000, 2048, 4095]], np.uint16)
"""Values of a 12-bit camera, from black to white."""
GREYS = [0, 62, 127, 255]
"""The same values in 8 bits."""


def _saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _png16(values: np.ndarray, significant: int | None = None) -> bytes:
    """Return a PNG with 16 bits per channel; Pillow can't write one in colour.

    Args:
        values: uint16 (height, width) or (height, width, channels), 0-65535.
        significant: the number of significant bits, for the sBIT chunk; None for no chunk.
    """
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values.reshape(height, -1))
    sbit = chunk(b"sBIT", bytes([significant] * channels)) if significant else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + sbit + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _tiff(content: bytes, width: int, height: int, bits: int | tuple[int, ...], **tags: int) -> bytes:
    """Return an uncompressed little-endian TIFF; a tag is given as `t` and its number."""
    own = {256: width, 257: height, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: len(content)}
    own |= {int(name[1:]): value for name, value in tags.items()} | {258: bits if isinstance(bits, int) else 0}
    after = 8 + len(content)
    entries = b""
    for tag, value in sorted(own.items()):
        if tag == 258 and not isinstance(bits, int):
            entries += struct.pack("<HHII", tag, 3, len(bits), after + 2 + 12 * len(own) + 4)
        else:
            entries += struct.pack("<HHII", tag, 4 if value > 65535 or tag in (273, 279) else 3, 1, value)
    more = b"" if isinstance(bits, int) else struct.pack(f"<{len(bits)}H", *bits)
    return b"II*\0" + struct.pack("<I", after) + content + struct.pack("<H", len(own)) + entries + bytes(4) + more


def _row(content: bytes, white: float | None = None) -> list[int]:
    """Return the grey values, 0-255, of an image with one row, without cropping it to a square."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding.ImageOps, "fit", lambda image, _: image)
        return decoding.decode(content, 8, "grayscale", white)[0, :, 0].tolist()


def test_every_mode_and_size_becomes_8_bits_of_the_given_size() -> None:
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"):
        content = _saved(Image.new(mode, (20, 10)), "TIFF" if mode == "CMYK" else "PNG")
        for color_mode, channels in (("rgb", 3), ("grayscale", 1)):
            pixels = decoding.decode(content, 8, color_mode, white=65535)
            assert (pixels.shape, pixels.dtype) == ((8, 8, channels), np.uint8), mode


def test_transparent_pixels_become_white() -> None:
    clear = decoding.decode(_saved(Image.new("RGBA", (9, 9), (200, 0, 0, 0))), 9, "rgb")
    assert (clear == 255).all()


def test_an_image_is_cropped_to_its_centre_and_rotated_as_exif_says() -> None:
    wide = Image.new("L", (30, 10), 0)
    wide.paste(255, (10, 0, 20, 10))
    assert (decoding.decode(_saved(wide), 10, "grayscale") == 255).all()
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    for mode, white in (("L", 255), ("I;16", 65535)):
        upper = Image.fromarray(np.repeat([white, 0], 4)[:, None].repeat(8, 1).astype({"L": "u1", "I;16": "u2"}[mode]))
        assert decoding.decode(_saved(upper, exif=exif), 8, "grayscale", 65535)[:4].max() == 0
        assert decoding.decode(_saved(upper, exif=exif), 8, "grayscale", 65535)[4:].min() == 255


WHITE_UNKNOWN = {
    "PNG": _png16(TWELVE),
    "PNG, rgb": _png16(np.stack([TWELVE] * 3, -1)),
    "PNG, rgba": _png16(np.stack([*[TWELVE] * 3, np.full_like(TWELVE, 65535)], -1)),
    "PNG, rgba, opaque is white": _png16(np.stack([*[TWELVE] * 3, np.full_like(TWELVE, 4095)], -1)),
    "TIFF": _saved(Image.fromarray(TWELVE), "TIFF"),
    "TIFF, LZW": _saved(Image.fromarray(TWELVE), "TIFF", compression="tiff_lzw"),
    "TIFF, 32 bits": _saved(Image.fromarray(TWELVE.astype(np.int32)), "TIFF"),
    "TIFF, floats": _saved(Image.fromarray(TWELVE.astype(np.float32)), "TIFF"),
    "TIFF, rgb": _tiff(np.stack([TWELVE] * 3, -1).astype("<u2").tobytes(), 4, 1, (16, 16, 16), t262=2, t277=3),
    "TIFF, largest value noted": _tiff(TWELVE.astype("<u2").tobytes(), 4, 1, 16, t281=4000),
    "JPEG 2000": _saved(Image.fromarray(TWELVE), "JPEG2000"),
}


@pytest.mark.parametrize("kind", WHITE_UNKNOWN)
def test_more_than_8_bits_without_a_value_of_white_need_the_parameter(kind: str) -> None:
    with pytest.raises(UnreadableError, match="doesn't say which value is white") as caught:
        _row(WHITE_UNKNOWN[kind])
    assert caught.value.detail == "largest value 4095"
    assert "`-S white=4095`" in caught.value.fix
    assert _row(WHITE_UNKNOWN[kind], white=4095) == GREYS
    with pytest.raises(UnreadableError, match="values outside 0 to white=1023"):
        _row(WHITE_UNKNOWN[kind], white=1023)
    if "opaque" not in kind:
        assert max(_row(WHITE_UNKNOWN[kind], white=65535)) == 15


WHITE_IN_FILE = {
    "PNG, sBIT, values scaled by the specification": _png16(TWELVE << 4 | TWELVE >> 8, significant=12),
    "PNG, sBIT, values as they were": _png16(TWELVE, significant=12),
    "PNG, sBIT 16": _png16(TWELVE << 4 | TWELVE >> 8, significant=16),
    "PNG, rgb, sBIT": _png16(np.stack([TWELVE << 4 | TWELVE >> 8] * 3, -1), significant=12),
    "TIFF, MaxSampleValue": _tiff(TWELVE.astype("<u2").tobytes(), 4, 1, 16, t281=4095),
    "TIFF, SMaxSampleValue": _tiff(TWELVE.astype("<u2").tobytes(), 4, 1, 16, t341=4095),
    "TIFF, 12 bits": _tiff(bytes.fromhex("0003e8800fff"), 4, 1, 12),
    "TIFF, 0 is white": _tiff((4095 - TWELVE).astype("<u2").tobytes(), 4, 1, 16, t262=0, t281=4095),
    "PGM, maxval 4095": b"P5 4 1 4095\n" + TWELVE.astype(">u2").tobytes(),
    "PGM, maxval 65535": b"P5 4 1 65535\n" + (TWELVE << 4 | TWELVE >> 8).astype(">u2").tobytes(),
    "PPM, maxval 4095": b"P6 4 1 4095\n" + np.stack([TWELVE] * 3, -1).astype(">u2").tobytes(),
}


@pytest.mark.parametrize("kind", WHITE_IN_FILE)
def test_the_value_of_white_in_the_file_wins_over_the_parameter(kind: str) -> None:
    for white in (None, 65535, 5000):
        assert np.abs(np.array(_row(WHITE_IN_FILE[kind], white)) - GREYS).max() <= 1


def test_16_bit_values_keep_their_brightness() -> None:
    assert _row(_png16(np.array([[0, 32768, 65535]], np.uint16)), white=65535) == [0, 127, 255]


def test_floats_from_0_to_1_are_read_and_others_nan_and_infinity_are_refused() -> None:
    floats = np.array([[0, 0.5, 1]], np.float32)
    assert _row(_saved(Image.fromarray(floats), "TIFF"), white=1) == [0, 127, 255]
    for wrong in (np.nan, -0.5, np.inf):
        with pytest.raises(UnreadableError, match="values outside 0 to white=1"):
            _row(_saved(Image.fromarray(np.array([[0, wrong]], np.float32)), "TIFF"), white=1)


def test_a_16_bit_format_of_which_pillow_returns_only_8_bits_is_refused() -> None:
    grey_with_opacity = _png16(np.stack([TWELVE, np.full_like(TWELVE, 65535)], -1))
    colour = np.stack([TWELVE] * 4, -1).astype("<u2").tobytes()
    cmyk = _tiff(colour, 4, 1, (16, 16, 16, 16), t262=5, t277=4)
    sgi = _saved(Image.new("L", (4, 1)), "SGI", bpc=2)
    for content in (grey_with_opacity, cmyk, sgi):
        with pytest.raises(UnreadableError, match="16 bits per channel in an unsupported format"):
            _row(content, white=65535)


def test_a_png_with_much_text_metadata_is_read() -> None:
    info = decoding.PngImagePlugin.PngInfo()
    info.add_text("settings", "x" * 5_000_000, zip=True)
    assert decoding.decode(_saved(Image.new("L", (8, 8), 7), pnginfo=info), 8, "grayscale").max() == 7


def test_an_image_with_too_many_pixels_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoding.MAX_PIXELS > 16320 * 12240  # a phone camera with 200 megapixels
    monkeypatch.setattr(decoding, "MAX_PIXELS", 10_000)
    with pytest.raises(UnreadableError, match="million pixels") as caught:
        decoding.decode(_saved(Image.new("1", (200, 100))), 8, "rgb")
    assert caught.value.detail == "200x100"
