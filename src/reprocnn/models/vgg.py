"""VGG: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015.

Adapted to CIFAR-10 by batch normalisation and a single, smaller dense layer, as in S. Liu, W. Deng, "Very Deep
Convolutional Neural Network Based Image Classification Using Small Training Sample Size", 2015.
"""

from reprocnn.errors import UserError
from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Padding, Pooling

_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Depth -> number of convolutions in each block; configurations A, B, D and E of the paper."""


def network(
    x: Tensor,
    n_classes: int,
    *,
    padding: Padding = "same",
    pooling: Pooling = "max",
    dropout: float = 0.5,
    batch_norm: bool = True,
    depth: int = 16,
) -> Tensor:
    """Apply five blocks of 3x3 convolutions and pooling, with 64, 128, 256, 512 and 512 filters; Dense512; output.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        padding: padding of the convolutions.
        pooling: kind of pooling, max or average.
        dropout: dropout rate after the hidden dense layer.
        batch_norm: whether batch normalisation follows each convolution.
        depth: number of layers: 11, 13, 16 or 19.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.

    Raises:
        UserError: the paper has no network of this depth.
    """
    if depth not in _CONVOLUTIONS:
        raise UserError(f"model=vgg needs a depth of 11, 13, 16 or 19, found depth={depth}", "-S depth=16")
    for block, (filters, count) in enumerate(zip((64, 128, 256, 512, 512), _CONVOLUTIONS[depth], strict=True), start=1):
        for place in range(1, count + 1):
            name = f"block{block}_conv{place}"
            x = layers.convolution(
                x, filters, 3, name, padding=padding, batch_norm=batch_norm, kernel_initializer="he_normal"
            )
        x = layers.pool(x, pooling, f"block{block}_pool", padding="same")  # keeps at least one pixel of small images
    x = layers.dropout(layers.dense(layers.flatten(x), 512), dropout)
    return layers.output(x, n_classes)
