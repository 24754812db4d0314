import numpy as np

from reprocnn.data.normalization import fitted, normalized

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3)).astype(np.uint8)


def test_unit_is_pixels_by_255() -> None:
    pixels = normalized(IMAGES, fitted("unit", [IMAGES], 3))
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, IMAGES.astype(np.float32) / np.float32(255))


def test_standardize_gives_mean_0_and_std_1_a_channel() -> None:
    skewed = (IMAGES // np.array([1, 2, 5])).astype(np.uint8)
    pixels = normalized(skewed, fitted("standardize", [skewed[:20], skewed[20:]], 3))
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_the_statistics_do_not_depend_on_the_chunks() -> None:
    whole = fitted("standardize", [IMAGES], 3)
    assert whole == fitted("standardize", [IMAGES[i : i + 7] for i in range(0, 50, 7)], 3)


def test_a_channel_of_one_value_becomes_0() -> None:
    flat = np.full((3, 2, 2, 1), 77, np.uint8)
    pixels = normalized(flat, fitted("standardize", [flat], 1))
    np.testing.assert_allclose(pixels, 0, atol=1e-6)
