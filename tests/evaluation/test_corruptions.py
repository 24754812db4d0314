import numpy as np
import pytest
from scipy import ndimage

from reprocnn.evaluation import corruptions
from reprocnn.evaluation.corruptions import CORRUPTIONS, STRENGTHS

SHAPES = [(9, 8, 8, 1), (9, 32, 32, 3), (1, 10, 12, 3), (2, 4, 5, 1)]


def _pictures(shape: tuple[int, ...]) -> np.ndarray:
    """Smooth pictures, as photographs are."""
    noise = np.random.default_rng(1).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, (0, 1, 1, 0))
    return (128 + 60 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def _difference(some: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(some.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_higher_strength_changes_more(name: str, shape: tuple[int, ...]) -> None:
    images = _pictures(shape)
    original = images.copy()
    changed = [CORRUPTIONS[name](images, strength) for strength in STRENGTHS]
    for result in changed:
        assert (result.shape, result.dtype) == (shape, np.uint8)
    differences = [_difference(images, result) for result in changed]
    assert 0 < differences[0] <= differences[1] <= differences[2]
    assert differences[0] < differences[2]
    np.testing.assert_array_equal(images, original)
    np.testing.assert_array_equal(changed[1], CORRUPTIONS[name](images, 2))


@pytest.mark.parametrize("name", ["blur", "rotation", "shift"])
def test_a_uniform_image_stays_as_it_is(name: str) -> None:
    images = np.full((4, 16, 16, 3), (200, 20, 90), np.uint8)
    for strength in STRENGTHS:
        np.testing.assert_array_equal(CORRUPTIONS[name](images, strength), images)


def test_shift_moves_by_a_share_of_the_side_in_four_directions_and_repeats_the_edge() -> None:
    images = np.repeat(_pictures((1, 20, 40, 3)), 4, axis=0)
    down, up, right, left = corruptions.shift(images, 2)
    image = images[0]
    np.testing.assert_array_equal(down, image[np.maximum(np.arange(20) - 2, 0)])
    np.testing.assert_array_equal(up, image[np.minimum(np.arange(20) + 2, 19)])
    np.testing.assert_array_equal(right, image[:, np.maximum(np.arange(40) - 4, 0)])
    np.testing.assert_array_equal(left, image[:, np.minimum(np.arange(40) + 4, 39)])


def test_rotation_turns_every_second_image_the_other_way() -> None:
    images = np.repeat(_pictures((1, 17, 17, 1)), 2, axis=0)
    one, other = corruptions.rotation(np.stack([images[0], images[0, :, ::-1]]), 3)
    np.testing.assert_array_equal(one, other[:, ::-1])
    assert one[8, 8] == images[0, 8, 8]  # the centre stays


def test_darkness_scales_every_pixel() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(corruptions.darkness(images, 2), np.round(images * 0.5))
