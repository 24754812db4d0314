"""Define the layers that the architectures share.

Every function applies Keras layers with fixed names: `build` derives the seed of a layer's weights from its name.
Images and feature maps are (batch, height, width, channels).
"""

from typing import Any, TypeAlias

from reprocnn.backend import keras
from reprocnn.params import Padding, Pooling

Tensor: TypeAlias = keras.KerasTensor
"""Symbolic float32 tensor; its first axis is the batch."""

_POOLING = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


class TooSmallError(ValueError):
    """The input of a layer is smaller than its window."""


def apply(layer: keras.Layer, x: Tensor) -> Tensor:
    """Apply a convolution or pooling layer.

    Args:
        layer: the layer.
        x: (batch, height, width, channels).

    Raises:
        TooSmallError: the layer has no padding, and its window is larger than the input.
    """
    window = getattr(layer, "pool_size", None) or layer.kernel_size
    height, width, _ = x.shape[1:]
    if layer.padding == "valid" and (window[0] > height or window[1] > width):
        raise TooSmallError(f"{layer.name} needs {window[0]}x{window[1]} or more, found {height}x{width}")
    return layer(x)


def convolution(
    x: Tensor,
    filters: int,
    kernel: int,
    name: str,
    *,
    batch_norm: bool = False,
    activation: str = "relu",
    **options: Any,
) -> Tensor:
    """Apply a convolution, batch normalisation on request, and an activation.

    Args:
        x: (batch, height, width, channels).
        filters: number of output channels.
        kernel: pixels per side of the kernel.
        name: name of the convolution layer.
        batch_norm: add batch normalisation (S. Ioffe, C. Szegedy, "Batch Normalization", 2015) before the activation;
            the convolution then has no bias.
        activation: name of a Keras activation.
        **options: further arguments of `keras.layers.Conv2D`.
    """
    inside = None if batch_norm else activation
    layer = keras.layers.Conv2D(filters, kernel, name=name, use_bias=not batch_norm, activation=inside, **options)
    x = apply(layer, x)
    return activate(batch_normalization(x, name), activation, name) if batch_norm else x


def batch_normalization(x: Tensor, name: str, *, scale: bool = True, momentum: float = 0.9) -> Tensor:
    """Apply batch normalisation.

    Args:
        x: (batch, height, width, channels).
        name: name of the layer before it.
        scale: learn a scale (gamma).
        momentum: momentum of the moving statistics. It is below Keras' 0.99 because training runs here have few steps.
    """
    return keras.layers.BatchNormalization(momentum=momentum, scale=scale, name=f"{name}_norm")(x)


def activate(x: Tensor, activation: str, name: str) -> Tensor:
    """Apply an activation, given by its Keras name, after the layer called `name`."""
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)


def pool(
    x: Tensor, kind: Pooling, name: str, *, size: int = 2, strides: int | None = None, padding: Padding = "valid"
) -> Tensor:
    """Apply max or average pooling.

    Args:
        x: (batch, height, width, channels).
        kind: max or average.
        name: name of the layer.
        size: pixels per side of the window.
        strides: distance between windows in pixels; None: the size.
        padding: same or valid.
    """
    return apply(_POOLING[kind](size, strides=strides, padding=padding, name=name), x)


def dropout(x: Tensor, rate: float, name: str = "dropout") -> Tensor:
    """Apply dropout (N. Srivastava et al., "Dropout", 2014); a rate of 0 adds no layer."""
    return keras.layers.Dropout(rate, name=name)(x) if rate else x


def output(x: Tensor, n_classes: int, *, use_bias: bool = True) -> Tensor:
    """Apply the output layer: softmax class probabilities, (batch, features) to (batch, n_classes), 0-1."""
    return keras.layers.Dense(n_classes, activation="softmax", use_bias=use_bias, name="output")(x)


def dense(x: Tensor, units: int, name: str = "dense", activation: str = "relu") -> Tensor:
    """Apply a dense layer, (batch, features) to (batch, units)."""
    return keras.layers.Dense(units, activation=activation, name=name)(x)


def flatten(x: Tensor) -> Tensor:
    """Flatten each image, (batch, height, width, channels) to (batch, features)."""
    return keras.layers.Flatten(name="flatten")(x)


def global_average_pool(x: Tensor) -> Tensor:
    """Average each channel over the image, (batch, height, width, channels) to (batch, channels)."""
    return keras.layers.GlobalAveragePooling2D(name="global_pool")(x)
