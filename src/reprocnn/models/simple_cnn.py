"""The text's convolutional net for MNIST."""

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
    """Apply Conv32-Pool-Conv64-Pool-Flatten-Dense64-output; `strides` of each convolution."""
    for block, filters in enumerate((32, 64), start=1):
        name = f"block{block}_conv1"
        x = layers.convolution(x, filters, 3, name, padding=padding, strides=strides, batch_norm=batch_norm)
        x = layers.pool(x, pooling, f"block{block}_pool")
    x = layers.dense(layers.flat(x), 64)
    return layers.output(layers.dropped(x, dropout), n_classes)
