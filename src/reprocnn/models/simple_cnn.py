"""The CNN of the teaching text, for MNIST."""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Padding, Pooling


def network(
    x: Tensor,
    n_classes: int,
    *,
    padding: Padding = "valid",
    strides: int = 1,
    pooling: Pooling = "max",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Tensor:
    """Apply Conv32-Pool-Conv64-Pool-Flatten-Dense64-Dropout-output.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        padding: padding of the convolutions.
        strides: stride of each convolution.
        pooling: kind of pooling, max or average.
        dropout: dropout rate after the hidden dense layer.
        batch_norm: whether batch normalisation follows each convolution.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.
    """
    for block, filters in enumerate((32, 64), start=1):
        name = f"block{block}_conv1"
        x = layers.convolution(x, filters, 3, name, padding=padding, strides=strides, batch_norm=batch_norm)
        x = layers.pool(x, pooling, f"block{block}_pool")
    x = layers.dense(layers.flatten(x), 64)
    return layers.output(layers.dropout(x, dropout), n_classes)
