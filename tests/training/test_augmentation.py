import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.params import AUGMENTATIONS
from reprocnn.training import augmentation

IMAGES = np.random.default_rng(0).random((8, 16, 16, 3), dtype=np.float32)
KINDS = [kind for kind in AUGMENTATIONS if kind != "flip"]


def _augmented(kind: str, seed: int = 0, training: bool = True) -> np.ndarray:
    (layer,) = augmentation.layers((kind,), seed)
    return np.array(layer(IMAGES, training=training))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_changes_images_only_in_training_and_as_the_seed_says(kind: str) -> None:
    changed = _augmented(kind)
    assert changed.shape == IMAGES.shape
    assert np.isfinite(changed).all()
    assert (changed != IMAGES).any(axis=(1, 2, 3)).sum() > 4
    np.testing.assert_array_equal(changed, _augmented(kind))
    assert not np.array_equal(changed, _augmented(kind, seed=1))
    np.testing.assert_array_equal(IMAGES, _augmented(kind, training=False))


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_batch_is_changed_differently(kind: str) -> None:
    (layer,) = augmentation.layers((kind,), 0)
    assert not np.array_equal(layer(IMAGES, training=True), layer(IMAGES, training=True))


def test_shift_moves_by_whole_pixels_with_reflected_borders() -> None:
    image = np.arange(32, dtype=np.float32)[None, None, :, None].repeat(32, axis=1).repeat(64, axis=0)
    (layer,) = augmentation.layers(("shift",), 0)
    rows = np.array(layer(image, training=True))[:, 16, :, 0]
    moves = rows[:, 16] - 16
    assert set(moves) == {-2, -1, 0, 1, 2}
    for row, move in zip(rows, moves, strict=True):
        inside = slice(2, -2)
        np.testing.assert_array_equal(row[inside], np.arange(32)[inside] + move)
        assert 0 <= row.min() <= row.max() <= 31


def test_cutout_erases_a_square_whose_side_is_a_quarter_of_the_image() -> None:
    ones = np.ones((8, 32, 32, 3), np.float32)
    (layer,) = augmentation.layers(("cutout",), 0)
    erased = np.array(layer(ones, training=True)) == 0
    assert set(erased.sum(axis=(1, 2, 3)) // 3) == {64}


def test_layers_are_in_the_order_of_the_kinds_and_flip_is_left_to_the_batches() -> None:
    names = [layer.name for layer in augmentation.layers(AUGMENTATIONS, 0)]
    assert names == [f"augment_{kind}" for kind in KINDS]
    assert augmentation.flips(("flip", "cutout"))
    assert not augmentation.flips(())
    assert augmentation.layers((), 0) == augmentation.layers(("flip",), 0) == []


def test_the_layers_are_standard_keras_layers() -> None:
    for layer in augmentation.layers(AUGMENTATIONS, 0):
        assert type(layer) is getattr(keras.layers, type(layer).__name__)


def test_a_kind_without_a_layer_is_refused() -> None:
    with pytest.raises(KeyError, match="blur"):
        augmentation.layers(("flip", "blur"), 0)  # type: ignore[arg-type]


def test_the_first_training_steps_have_smaller_images() -> None:
    *_, shrink = augmentation.layers(("shift",), 0, small_steps=2)
    sides = [shrink(IMAGES, training=training).shape[1] for training in (True, False, True, True, True)]
    assert sides == [12, 16, 12, 16, 16]
    stripes = np.zeros((1, 16, 16, 1), np.float32)
    stripes[:, ::2] = 1
    (shrink,) = augmentation.layers((), 0, small_steps=1)
    inside = np.array(shrink(stripes, training=True))[0, 2:-2, 0, 0]
    assert np.abs(inside - 0.5).max() < 0.2  # averaged over neighbours, not picked from single pixels
