"""The text's MNIST net: Conv32-Pool-Conv64-Pool-Flatten-Dense64-Dense10."""

from reprocnn.backend import keras
from reprocnn.models.layers import convolution_block, head


def simple_cnn(
    n_classes: int,
    *,
    padding: str = "valid",
    strides: int = 1,
    pooling: str = "max",
    dropout: float = 0.0,
) -> list[keras.Layer]:
    """Layers of the MNIST net."""
    return [
        *convolution_block(1, 32, 1, padding, strides, pooling),
        *convolution_block(2, 64, 1, padding, strides, pooling),
        *head(64, dropout, n_classes),
    ]
