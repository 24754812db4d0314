"""The text's CIFAR-10 net: 2x Conv32-Pool-2x Conv64-Pool-Flatten-Dense512-Dropout-Dense10."""

from reprocnn.backend import keras
from reprocnn.models.layers import convolution_block, head


def deep_cnn(
    n_classes: int,
    *,
    padding: str = "same",
    strides: int = 1,
    pooling: str = "max",
    dropout: float = 0.5,
) -> list[keras.Layer]:
    """Layers of the CIFAR-10 net."""
    return [
        *convolution_block(1, 32, 2, padding, strides, pooling),
        *convolution_block(2, 64, 2, padding, strides, pooling),
        *head(512, dropout, n_classes),
    ]
