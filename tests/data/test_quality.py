import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits, load_sample_image

from reprocnn.data.quality import poor_images

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photographs() -> Pixels:
    """Crop 40 tiles of 64x64 pixels from a photograph."""
    photograph = load_sample_image("china.jpg")
    rows = [photograph[y : y + 64, x : x + 64] for y in range(150, 360, 60) for x in range(0, 570, 57)]
    return np.stack(rows)[:40]


def _blur(image: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(4)))


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("dark", lambda image: image // 8),
        ("bright", lambda image: 255 - (255 - image) // 8),
        ("blank", lambda image: np.full_like(image, 90)),
        ("blurred", _blur),
    ],
)
def test_a_spoiled_photograph_is_found_and_the_others_are_not(photographs: Pixels, kind: str, spoil: object) -> None:
    images = photographs.copy()
    images[25] = spoil(images[25])  # type: ignore[operator]
    before, found = (poor_images(x) for x in (photographs, images))
    new = found[~found["row"].isin(before["row"])]
    assert (new["row"].tolist(), new["kind"].tolist()) == ([25], [kind])
    assert 0.5 <= new["score"].item() <= 1
    assert set(before["kind"]) == {"bright"}, "three tiles of the white sky"


def test_a_dark_background_is_no_fault_if_all_images_have_it() -> None:
    digits = (load_digits().images[..., np.newaxis] * 3).astype(np.uint8)  # at most 48 of 255
    assert poor_images(digits).empty


def test_the_chunks_do_not_change_the_result(photographs: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.concatenate([photographs, photographs // 8])
    whole = poor_images(images)
    monkeypatch.setattr("reprocnn.artifacts.split.CHUNK_BYTES", 3 * 64 * 64 * 3 * 4)
    assert poor_images(images).equals(whole)


def test_a_split_without_images_has_no_findings() -> None:
    assert poor_images(np.zeros((0, 4, 4, 3), np.uint8)).empty
