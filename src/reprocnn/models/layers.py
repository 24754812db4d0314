"""What the convolutional families share. Every layer is named by its place, and by its name it draws its weights."""

from typing import Any, TypeAlias

from reprocnn.backend import keras
from reprocnn.params import Padding, Pooling

Tensor: TypeAlias = keras.KerasTensor

_POOLING = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


class TooSmallError(ValueError):
    """The window of a layer is larger than what it is given."""


def apply(layer: keras.Layer, x: Tensor) -> Tensor:
    """`layer(x)`.

    Raises:
        TooSmallError: a window without padding does not fit.
    """
    window = getattr(layer, "pool_size", None) or layer.kernel_size
    height, width, _ = x.shape[1:]
    if layer.padding == "valid" and (window[0] > height or window[1] > width):
        raise TooSmallError(f"{layer.name} needs {window[0]}x{window[1]} or more, found {height}x{width}")
    return layer(x)


def convolution(
    x: Tensor, filters: int, kernel: int, name: str, *, batch_norm: bool = False, activation: str = "relu", **more: Any
) -> Tensor:
    """A convolution and its activation, with batch normalisation between them if asked for.

    Args:
        x: (height, width, channels).
        filters: channels of the result.
        kernel: pixels a side.
        name: of the convolution.
        batch_norm: S. Ioffe, C. Szegedy, "Batch Normalization", 2015; the convolution then has no bias.
        activation: as Keras names it.
        **more: for Conv2D.
    """
    inside = None if batch_norm else activation
    layer = keras.layers.Conv2D(filters, kernel, name=name, use_bias=not batch_norm, activation=inside, **more)
    x = apply(layer, x)
    return activated(normalized(x, name), activation, name) if batch_norm else x


def normalized(x: Tensor, name: str, *, scale: bool = True, momentum: float = 0.9) -> Tensor:
    """Batch normalisation after the layer `name`; trainings here have few steps, so that its averages forget fast."""
    return keras.layers.BatchNormalization(momentum=momentum, scale=scale, name=f"{name}_norm")(x)


def activated(x: Tensor, activation: str, name: str) -> Tensor:
    """The activation after the layer `name`."""
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)


def pool(
    x: Tensor, kind: Pooling, name: str, *, size: int = 2, strides: int | None = None, padding: Padding = "valid"
) -> Tensor:
    """Apply pooling of a kind."""
    return apply(_POOLING[kind](size, strides=strides, padding=padding, name=name), x)


def dropped(x: Tensor, rate: float, name: str = "dropout") -> Tensor:
    """Dropout, where the rate is above 0 (N. Srivastava et al., "Dropout", 2014)."""
    return keras.layers.Dropout(rate, name=name)(x) if rate else x


def output(x: Tensor, n_classes: int, *, use_bias: bool = True) -> Tensor:
    """A probability a class."""
    return keras.layers.Dense(n_classes, activation="softmax", use_bias=use_bias, name="output")(x)


def dense(x: Tensor, units: int, name: str = "dense", activation: str = "relu") -> Tensor:
    """A dense layer."""
    return keras.layers.Dense(units, activation=activation, name=name)(x)


def flat(x: Tensor) -> Tensor:
    """All values of an image in a row."""
    return keras.layers.Flatten(name="flatten")(x)


def averaged(x: Tensor) -> Tensor:
    """The mean of each channel."""
    return keras.layers.GlobalAveragePooling2D(name="global_pool")(x)
