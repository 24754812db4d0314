import numpy as np

from reprocnn.data.normalization import fit, normalize

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3)).astype(np.uint8)


def test_unit_divides_pixels_by_255() -> None:
    pixels = normalize(IMAGES, fit("unit", [IMAGES], 3))
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, IMAGES.astype(np.float32) / np.float32(255))


def test_standardize_gives_mean_0_and_std_1_per_channel() -> None:
    skewed = (IMAGES // np.array([1, 2, 5])).astype(np.uint8)
    pixels = normalize(skewed, fit("standardize", [skewed[:20], skewed[20:]], 3))
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_the_statistics_do_not_depend_on_the_chunks() -> None:
    whole = fit("standardize", [IMAGES], 3)
    assert whole == fit("standardize", [IMAGES[i : i + 7] for i in range(0, 50, 7)], 3)


def test_a_constant_channel_becomes_0() -> None:
    flat = np.full((3, 2, 2, 1), 77, np.uint8)
    pixels = normalize(flat, fit("standardize", [flat], 1))
    np.testing.assert_allclose(pixels, 0, atol=1e-6)
