"""Build the augmentation layers. They come before the model and are active only in training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reprocnn.backend import derived_seed, keras, tf
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


class Shrink(keras.Layer):  # type: ignore[misc]
    """Layer that reduces the images of the first training steps to 3/4 of their side (progressive resizing).

    Such steps take about half the time, and the net learns small details later (M. Tan, Q. Le, "EfficientNetV2", 2021).

    Args:
        steps: number of steps with small images.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(name="shrink", dtype="float32")
        self._steps = steps
        self._step = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="step")

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Resize images, float32 (batch, height, width, channels), in the first training steps."""
        if not training:
            return images
        size = [max(1, 3 * side // 4) for side in images.shape[1:3]]
        small = self._step.value < self._steps
        self._step.assign_add(1)
        return tf.cond(small, lambda: tf.image.resize(images, size, antialias=True), lambda: images)


def flips(kinds: tuple[Augmentation, ...]) -> bool:
    """Return whether to mirror images. `Batches` does it, because it depends on the image and the epoch."""
    return "flip" in kinds


def layers(kinds: tuple[Augmentation, ...], seed: int, small_steps: int = 0) -> list[keras.Layer]:
    """Build one layer per kind of augmentation, except `flip`, and on request one for progressive resizing.

    Args:
        kinds: the kinds of augmentation, in order.
        seed: seed from which the seed of each layer is derived.
        small_steps: number of steps at the start with smaller images.

    Raises:
        KeyError: there is no layer for a kind.
    """
    augmentations = [
        _LAYERS[kind](seed=derived_seed(seed, f"augment {kind}"), name=f"augment_{kind}", dtype="float32")
        for kind in kinds
        if kind != "flip"
    ]
    return [*augmentations, Shrink(small_steps)] if small_steps else augmentations
