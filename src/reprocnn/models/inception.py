"""Inception (C. Szegedy et al., "Going Deeper with Convolutions", 2015) in a small version for CIFAR.

This is the "small Inception" of C. Zhang, S. Bengio, M. Hardt, B. Recht, O. Vinyals, "Understanding Deep Learning
Requires Rethinking Generalization", 2017, appendix A.
"""

from reprocnn.backend import keras
from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Pooling

_GROUPS = (((32, 32), (32, 48)), ((112, 48), (96, 64), (80, 80), (48, 96)), ((176, 160), (176, 160)))
"""Filters of the 1x1 and the 3x3 branch of each module, per group."""
_HALVINGS = (80, 96)
"""Filters of the strided convolution before the second and the third group."""


def network(x: Tensor, n_classes: int, *, pooling: Pooling = "max", dropout: float = 0.0) -> Tensor:
    """Apply Conv96, three groups of 2, 4 and 2 Inception modules, global average pooling, Dropout, output.

    Before the second and the third group the height and width are halved.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        pooling: kind of pooling, max or average that halve the size.
        dropout: dropout rate before the output layer.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.
    """
    x = _convolution(x, 96, 3, "conv")
    for group, modules in enumerate(_GROUPS):
        if group:
            x = _halve(x, _HALVINGS[group - 1], pooling, f"halve{group}")
        for number, (narrow, wide) in enumerate(modules, start=1):
            name = f"module{group + 1}_{number}"
            branches = [_convolution(x, narrow, 1, f"{name}_1x1"), _convolution(x, wide, 3, f"{name}_3x3")]
            x = keras.layers.Concatenate(name=name)(branches)
    return layers.output(layers.dropout(layers.global_average_pool(x), dropout), n_classes)


def _halve(x: Tensor, filters: int, pooling: Pooling, name: str) -> Tensor:
    """Halve height and width: concatenate a strided convolution and strided pooling."""
    strided = _convolution(x, filters, 3, f"{name}_3x3", strides=2)
    pooled = layers.pool(x, pooling, f"{name}_pool", size=3, strides=2, padding="same")
    return keras.layers.Concatenate(name=name)([strided, pooled])


def _convolution(x: Tensor, filters: int, kernel: int, name: str, strides: int = 1) -> Tensor:
    """Apply convolution, batch normalisation and ReLU.

    The paper's parameter count, 1,649,402 for 10 classes, shows that the batch normalisation has no scale.
    """
    x = keras.layers.Conv2D(
        filters, kernel, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return layers.activate(layers.batch_normalization(x, name, scale=False), "relu", name)
