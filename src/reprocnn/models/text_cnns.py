"""The convolutional nets of the text: a small one for MNIST, a deeper one for CIFAR-10."""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor


def simple_cnn(
    x: Tensor,
    n_classes: int,
    *,
    padding: str = "valid",
    strides: int = 1,
    pooling: str = "max",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Tensor:
    """The MNIST net: Conv32-Pool-Conv64-Pool-Flatten-Dense64-output."""
    x = _block(x, 1, 32, 1, padding, strides, pooling, batch_norm)
    x = _block(x, 2, 64, 1, padding, strides, pooling, batch_norm)
    return _head(x, 64, dropout, n_classes)


def deep_cnn(
    x: Tensor,
    n_classes: int,
    *,
    padding: str = "same",
    strides: int = 1,
    pooling: str = "max",
    dropout: float = 0.5,
    batch_norm: bool = False,
) -> Tensor:
    """The CIFAR-10 net: 2x Conv32-Pool-2x Conv64-Pool-Flatten-Dense512-Dropout-output."""
    x = _block(x, 1, 32, 2, padding, strides, pooling, batch_norm)
    x = _block(x, 2, 64, 2, padding, strides, pooling, batch_norm)
    return _head(x, 512, dropout, n_classes)


def _block(
    x: Tensor, number: int, filters: int, depth: int, padding: str, strides: int, pooling: str, batch_norm: bool
) -> Tensor:
    """3x3 convolutions, the first with `strides`, then 2x2 pooling."""
    for place in range(1, depth + 1):
        name, step = f"block{number}_conv{place}", strides if place == 1 else 1
        x = layers.convolution(x, filters, 3, name, padding=padding, strides=step, batch_norm=batch_norm)
    return layers.pool(x, pooling, f"block{number}_pool")


def _head(x: Tensor, units: int, dropout: float, n_classes: int) -> Tensor:
    x = layers.dense(layers.flat(x), units)
    return layers.output(layers.dropped(x, dropout), n_classes)
