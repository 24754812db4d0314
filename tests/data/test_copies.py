import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_image

from reprocnn.data.copies import find_copies
from reprocnn.data.copy_groups import copy_groups

Pixels = NDArray[np.uint8]
Change = Callable[[Image.Image], Image.Image]


def _tiles(side: int) -> Pixels:
    """Cut two photographs into tiles that do not overlap, without those of the plain sky."""
    found = []
    for name in ("china.jpg", "flower.jpg"):
        photograph = load_sample_image(name)
        rows, columns = (range(0, size - side + 1, side) for size in photograph.shape[:2])
        found += [photograph[y : y + side, x : x + side] for y in rows for x in columns]
    return np.stack([tile for tile in found if tile.std(axis=(0, 1)).mean() > 25])


def _changed(change: Change, image: Pixels) -> Pixels:
    picture = Image.fromarray(image if image.shape[2] == 3 else image[..., 0])
    return np.asarray(change(picture)).reshape(image.shape)


def _resave(picture: Image.Image) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=60)
    return Image.open(content)


def _shrink(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.resize((round(0.8 * width), round(0.8 * height))).resize(picture.size)


def _crop(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    return picture.resize(picture.size, box=(0.01 * width, 0.04 * height, 0.96 * width, 0.99 * height))


def _mirror(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _brighten(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(1.2)


@pytest.mark.parametrize("side", [32, 100])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("change", [_resave, _shrink, _crop, _mirror, _brighten])
def test_a_changed_copy_is_found_and_different_tiles_are_not(change: Change, grey: bool, side: int) -> None:
    images = _tiles(side)
    images = images.mean(axis=3, keepdims=True).astype(np.uint8) if grey else images
    chosen = np.arange(3, len(images), 7)
    n = len(images)
    found = find_copies(np.concatenate([images, [_changed(change, images[row]) for row in chosen]]))
    expected = {(row, n + i) for i, row in enumerate(chosen.tolist())}
    pairs = set(found[["first", "second"]].itertuples(index=False, name=None))
    assert len(expected - pairs) <= 0.05 * len(expected)
    assert pairs <= expected
    assert set(found["kind"]) == {"near_duplicate"}
    assert found["similarity"].between(0.95, 1).all()


def test_equal_images_are_duplicates_of_the_first_one() -> None:
    images = _tiles(64)[:6]
    found = find_copies(images[[0, 1, 0, 2, 0, 1, 3]])
    assert found.to_numpy().tolist() == [[0, 2, "duplicate", 1.0], [0, 4, "duplicate", 1.0], [1, 5, "duplicate", 1.0]]


def test_different_digits_look_alike_but_are_no_copies() -> None:
    digits = np.round(load_digits().images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    assert find_copies(digits).empty
    again = find_copies(np.concatenate([digits, digits[5:6], digits[9:10, :, ::-1]]))
    assert again.to_numpy()[:, :3].tolist() == [[5, 1797, "duplicate"], [9, 1798, "near_duplicate"]]


def test_images_of_one_colour_are_equal_or_nothing() -> None:
    plain = np.full((4, 32, 32, 3), 7, np.uint8)
    plain[2, 0, 0], plain[3] = 8, 9
    assert find_copies(np.concatenate([plain, _tiles(32)[:5]])).to_numpy().tolist() == [[0, 1, "duplicate", 1.0]]


@pytest.mark.parametrize("n", [1, 3, pytest.param(20, marks=pytest.mark.slow)])
def test_copies_are_found_where_most_images_have_them(n: int) -> None:
    tiles = _tiles(32)[:100]
    images = np.concatenate([tiles, *([_changed(_resave, _shift(tile, k)) for tile in tiles] for k in range(n))])
    found = find_copies(images)
    assert (found["first"] % len(tiles) == found["second"] % len(tiles)).all()
    assert len(np.unique(found[["first", "second"]])) >= 0.95 * len(images)


def _shift(image: Pixels, k: int) -> Pixels:
    return _changed(lambda picture: picture.resize(picture.size, box=(0, k / 20, 31, 31 + k / 20)), image)


def test_a_set_of_equal_images_only_has_duplicates() -> None:
    for image in (_tiles(32)[0], np.zeros((32, 32, 3), np.uint8)):
        found = find_copies(np.stack([image] * 4))
        assert found.to_numpy().tolist() == [[0, row, "duplicate", 1.0] for row in (1, 2, 3)]


def test_two_images_are_enough_to_find_a_copy() -> None:
    one, other = _tiles(32)[[20, 40]]
    assert len(find_copies(np.stack([one, _changed(_resave, one)]))) == 1
    assert find_copies(np.stack([one, other])).empty


@pytest.mark.parametrize("shape", [(0, 32, 32, 3), (1, 32, 32, 3), (2, 32, 32, 1), (3, 4, 4, 3), (2, 8, 40, 3)])
def test_few_or_small_or_long_images_do_no_harm(shape: tuple[int, ...]) -> None:
    found = find_copies(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    assert found.empty
    assert list(found.columns) == ["first", "second", "kind", "similarity"]


def test_memory_map_threads_and_chunks_do_not_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = _tiles(32)
    images = np.concatenate([tiles, [_changed(_crop, tile) for tile in tiles[:60]]])
    whole = find_copies(images)
    assert len(whole) >= 55
    np.save(tmp_path / "images.npy", images)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr("reprocnn.artifacts.split.CHUNK_BYTES", 7 * 32 * 32 * 3 * 4)
    pd.testing.assert_frame_equal(find_copies(np.load(tmp_path / "images.npy", mmap_mode="r")), whole)


def test_copies_of_copies_are_one_group() -> None:
    pairs = pd.DataFrame({"first": [0, 2, 5], "second": [2, 4, 6]})
    groups = copy_groups(pairs, 8)
    assert groups[0] == groups[2] == groups[4]
    assert groups[5] == groups[6]
    assert len(set(groups.tolist())) == 5
    assert copy_groups(pairs[:0], 3).tolist() == [0, 1, 2]
