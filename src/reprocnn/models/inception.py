"""Inception: C. Szegedy et al., "Going Deeper with Convolutions", 2015, in the size of CIFAR.

The "small Inception" of C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals, "Understanding Deep Learning Requires
Rethinking Generalization", 2017, appendix A.
"""

from reprocnn.backend import keras
from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Pooling

_GROUPS = (((32, 32), (32, 48)), ((112, 48), (96, 64), (80, 80), (48, 96)), ((176, 160), (176, 160)))
"""Channels of the 1x1 and the 3x3 branch of each module."""
_HALVINGS = (80, 96)
"""Channels of the convolution between two groups."""


def network(x: Tensor, n_classes: int, *, pooling: Pooling = "max", dropout: float = 0.0) -> Tensor:
    """Apply Conv96, eight modules, halved twice by convolution beside pooling; the mean, output."""
    x = _convolution(x, 96, 3, "conv")
    for group, modules in enumerate(_GROUPS):
        if group:
            x = _halved(x, _HALVINGS[group - 1], pooling, f"halve{group}")
        for number, (narrow, wide) in enumerate(modules, start=1):
            name = f"module{group + 1}_{number}"
            branches = [_convolution(x, narrow, 1, f"{name}_1x1"), _convolution(x, wide, 3, f"{name}_3x3")]
            x = keras.layers.Concatenate(name=name)(branches)
    return layers.output(layers.dropped(layers.averaged(x), dropout), n_classes)


def _halved(x: Tensor, filters: int, pooling: Pooling, name: str) -> Tensor:
    """Half the size, by a convolution and beside it by pooling."""
    strided = _convolution(x, filters, 3, f"{name}_3x3", strides=2)
    pooled = layers.pool(x, pooling, f"{name}_pool", size=3, strides=2, padding="same")
    return keras.layers.Concatenate(name=name)([strided, pooled])


def _convolution(x: Tensor, filters: int, kernel: int, name: str, strides: int = 1) -> Tensor:
    """With batch normalisation without a scale, as the paper's number of parameters tells: 1,649,402 for 10 classes."""
    x = keras.layers.Conv2D(
        filters, kernel, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return layers.activated(layers.normalized(x, name, scale=False), "relu", name)
