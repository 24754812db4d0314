"""Build the augmentation layers. They come before the model and are active only in training."""

from collections.abc import Callable

import numpy as np

from reprocnn.backend import derived_seed, keras
from reprocnn.params import Augmentation

_UNBOUNDED = (-np.inf, np.inf)
"""Value range of normalised images, which have no fixed limits."""

_LAYERS: dict[Augmentation, Callable[..., keras.Layer]] = {
    # By whole pixels: at 32 pixels -2 to 2, all equally likely (K. Jordan's airbench)
    "shift": lambda **options: keras.layers.RandomTranslation(
        2.5 / 32, 2.5 / 32, fill_mode="reflect", interpolation="nearest", **options
    ),
    "rotate": lambda **options: keras.layers.RandomRotation(15 / 360, fill_mode="reflect", **options),
    "zoom": lambda **options: keras.layers.RandomZoom(0.15, fill_mode="reflect", **options),
    "contrast": lambda **options: keras.layers.RandomContrast(0.2, value_range=_UNBOUNDED, **options),
    # One square per image: T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural Networks with
    # Cutout", 2017. Its side is a quarter of the image side, not half as in the paper, because training here has a
    # tenth of the epochs. Its value 0 is the mean with `standardize` and black with `unit`.
    "cutout": lambda **options: keras.layers.RandomErasing(
        factor=(1.0, 1.0), scale=(1 / 16, 1 / 16), fill_value=0.0, value_range=_UNBOUNDED, **options
    ),
}


def flips(kinds: tuple[Augmentation, ...]) -> bool:
    """Return whether to mirror images. `Batches` does it, because it depends on the image and the epoch."""
    return "flip" in kinds


def layers(kinds: tuple[Augmentation, ...], seed: int) -> list[keras.Layer]:
    """Build one layer per kind of augmentation, except `flip`.

    Args:
        kinds: the kinds of augmentation, in order.
        seed: seed from which the seed of each layer is derived.

    Raises:
        KeyError: there is no layer for a kind.
    """
    return [
        _LAYERS[kind](seed=derived_seed(seed, f"augment {kind}"), name=f"augment_{kind}", dtype="float32")
        for kind in kinds
        if kind != "flip"
    ]
