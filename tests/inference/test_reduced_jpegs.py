import io
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from reprocnn.inference import decoding
from reprocnn.inference.decoding import decode


def _jpeg(image: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", **options)  # type: ignore[arg-type]
    return content.getvalue()


def _at_full_size(content: bytes, size: int, mode: str = "RGB") -> np.ndarray:
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(ImageOps.fit(ImageOps.exif_transpose(opened).convert(mode), (size, size)), np.int16)


@pytest.fixture(scope="module", params=["china.jpg", "flower.jpg"])
def photograph(request: pytest.FixtureRequest) -> Image.Image:
    """A sharp photograph of 1917x1281 pixels with noise; no reduction divides these without remainder."""
    small = Image.fromarray(load_sample_image(request.param))
    pixels = np.asarray(small.resize((1917, 1281), Image.Resampling.LANCZOS)).astype(np.int16)
    noise = np.random.default_rng(0).integers(-8, 9, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [8, 32, 64, 100, 224])
@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 95, "progressive": True, "subsampling": 0}])
def test_a_reduced_jpeg_stays_within_the_stated_bound_of_the_full_one(
    photograph: Image.Image, size: int, options: Mapping[str, object]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for picture, more in ((photograph, {}), (photograph, {"exif": exif}), (photograph.convert("L"), {})):
        content = _jpeg(picture, **options, **more)
        difference = abs(decode(content, size, "rgb").astype(np.int16) - _at_full_size(content, size))
        assert difference.mean() < 0.5
        assert difference.max() <= 16


def test_a_jpeg_that_is_not_much_larger_is_decoded_at_full_size(photograph: Image.Image) -> None:
    content = _jpeg(photograph)
    np.testing.assert_array_equal(decode(content, 400, "rgb"), _at_full_size(content, 400))
    np.testing.assert_array_equal(decode(content, 400, "grayscale")[..., 0], _at_full_size(content, 400, "L"))


def test_a_jpeg_in_cmyk_is_left_to_pillow(photograph: Image.Image) -> None:
    content = _jpeg(photograph.convert("CMYK"))
    np.testing.assert_array_equal(decode(content, 64, "rgb"), _at_full_size(content, 64))


def test_simplejpeg_gives_the_pixels_of_pillow(photograph: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    small = _jpeg(photograph.resize((64, 64)), quality=70)
    fast = decode(small, 64, "rgb")
    monkeypatch.setattr(decoding, "_decode_jpeg", lambda *_: None)
    np.testing.assert_array_equal(decode(small, 64, "rgb"), fast)


@pytest.mark.parametrize("size", [64, 40])
def test_a_jpeg_is_rotated_even_if_a_long_colour_profile_is_before_its_orientation(size: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    orientation = exif.tobytes()
    segment = b"\xff\xe1" + (2 + len(orientation)).to_bytes(2) + orientation
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = _jpeg(Image.fromarray(pixels), icc_profile=bytes(1_500_000))
    start = content.index(b"\xff\xdb")  # the first segment after the profile
    content = content[:start] + segment + content[start:]
    assert content.index(b"Exif\0") > 1_500_000
    np.testing.assert_array_equal(decode(content, size, "rgb"), _at_full_size(content, size))
