import numpy as np

from reprocnn.data.normalization import Normalization, fitted

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3)).astype(np.uint8)


def test_unit_is_pixels_by_255() -> None:
    normalized = fitted("unit", [IMAGES], 3)(IMAGES)
    assert normalized.dtype == np.float32
    np.testing.assert_array_equal(normalized, IMAGES.astype(np.float32) / np.float32(255))


def test_standardize_gives_mean_0_and_std_1_a_channel() -> None:
    skewed = (IMAGES // np.array([1, 2, 5])).astype(np.uint8)
    normalized = fitted("standardize", [skewed[:20], skewed[20:]], 3)(skewed)
    np.testing.assert_allclose(normalized.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_the_statistics_do_not_depend_on_the_chunks() -> None:
    whole = fitted("standardize", [IMAGES], 3)
    assert whole == fitted("standardize", [IMAGES[i : i + 7] for i in range(0, 50, 7)], 3)


def test_a_channel_of_one_value_becomes_0() -> None:
    flat = np.full((3, 2, 2, 1), 77, np.uint8)
    normalized = fitted("standardize", [flat], 1)(flat)
    np.testing.assert_allclose(normalized, 0, atol=1e-6)


def test_json_round_trip() -> None:
    normalization = fitted("standardize", [IMAGES], 3)
    assert Normalization.from_json(normalization.to_json()) == normalization
