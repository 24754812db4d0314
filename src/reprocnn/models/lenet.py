"""LeNet-5: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.

In today's usual form: the second convolution is connected to all channels, average pooling has no weights, and the
output is a softmax.
"""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Auto, Padding, Pooling

PAPER_SIZE = 32
"""Pixels per side. The paper pads MNIST's 28 to 32; `same` padding of the first convolution has the same effect."""


def network(
    x: Tensor,
    n_classes: int,
    *,
    padding: Padding | Auto = "auto",
    strides: int = 1,
    pooling: Pooling = "average",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> Tensor:
    """Apply Conv6-Pool-Conv16-Pool-Dense120-Dense84-output with 5x5 kernels and tanh.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        padding: padding of both convolutions. `auto`: `valid`, but `same` for the first convolution if an image side is
            below 32 pixels.
        strides: stride of both convolutions.
        pooling: kind of pooling, max or average.
        dropout: dropout rate after each hidden dense layer.
        batch_norm: whether batch normalisation follows each convolution.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.
    """
    first = "same" if padding == "auto" and min(x.shape[1:3]) < PAPER_SIZE else padding
    for number, (filters, pad) in enumerate(((6, first), (16, padding)), start=1):
        x = layers.convolution(
            x,
            filters,
            5,
            f"conv{number}",
            padding="valid" if pad == "auto" else pad,
            strides=strides,
            activation="tanh",
            batch_norm=batch_norm,
        )
        x = layers.pool(x, pooling, f"pool{number}")
    x = layers.flatten(x)
    for number, units in enumerate((120, 84), start=1):
        x = layers.dropout(layers.dense(x, units, f"dense{number}", "tanh"), dropout, f"dropout{number}")
    return layers.output(x, n_classes)
