"""The text's deeper convolutional net for CIFAR-10."""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Padding, Pooling


def network(
    x: Tensor,
    n_classes: int,
    *,
    padding: Padding = "same",
    strides: int = 1,
    pooling: Pooling = "max",
    dropout: float = 0.5,
    batch_norm: bool = False,
) -> Tensor:
    """Apply 2x Conv32-Pool-2x Conv64-Pool-Flatten-Dense512-Dropout-output.

    `strides` is that of the first convolution of each block.
    """
    for block, filters in enumerate((32, 64), start=1):
        for place, step in ((1, strides), (2, 1)):
            name = f"block{block}_conv{place}"
            x = layers.convolution(x, filters, 3, name, padding=padding, strides=step, batch_norm=batch_norm)
        x = layers.pool(x, pooling, f"block{block}_pool")
    x = layers.dense(layers.flat(x), 512)
    return layers.output(layers.dropped(x, dropout), n_classes)
