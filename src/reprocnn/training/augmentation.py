"""Build the augmentation layers. They are placed before the model and used in training only."""

from collections.abc import Callable

import numpy as np

from reprocnn.backend import derived_seed, keras
from reprocnn.params import Augmentation

_UNBOUNDED = (-np.inf, np.inf)
"""Normalised images have no bounds of their own."""

_LAYERS: dict[Augmentation, Callable[..., keras.Layer]] = {
    # By -2 to 2 of 32 pixels, rounded, each as likely: K. Jordan's airbench
    "shift": lambda **more: keras.layers.RandomTranslation(
        2.5 / 32, 2.5 / 32, fill_mode="reflect", interpolation="nearest", **more
    ),
    "rotate": lambda **more: keras.layers.RandomRotation(15 / 360, fill_mode="reflect", **more),
    "zoom": lambda **more: keras.layers.RandomZoom(0.15, fill_mode="reflect", **more),
    "contrast": lambda **more: keras.layers.RandomContrast(0.2, value_range=_UNBOUNDED, **more),
    # A square: T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017. Of
    # a quarter of a side, where they have half of it: trainings here have a tenth of their epochs. 0 is the mean
    # with `standardize`, and black with `unit`
    "cutout": lambda **more: keras.layers.RandomErasing(
        factor=(1.0, 1.0), scale=(1 / 16, 1 / 16), fill_value=0.0, value_range=_UNBOUNDED, **more
    ),
}


def flips(kinds: tuple[Augmentation, ...]) -> bool:
    """Return whether images are mirrored. `Batches` does this, because it depends on the image and the epoch."""
    return "flip" in kinds


def layers(kinds: tuple[Augmentation, ...], seed: int) -> list[keras.Layer]:
    """Build one layer per kind of augmentation, except `flip`.

    Args:
        kinds: the kinds of augmentation, in order.
        seed: the seed of each layer is derived from it.

    Raises:
        KeyError: there is no layer for a kind.
    """
    return [
        _LAYERS[kind](seed=derived_seed(seed, f"augment {kind}"), name=f"augment_{kind}", dtype="float32")
        for kind in kinds
        if kind != "flip"
    ]
