"""LeNet-5: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.

As it is built today: full connections in the second convolution, plain average pooling, softmax for the output.
"""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Auto, Padding, Pooling

PAPER_SIZE = 32
"""Pixels a side; the paper pads MNIST's 28 to them, which here is the `same` padding of the first convolution."""


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
    """Apply Conv6-Pool-Conv16-Pool-Dense120-Dense84-output, 5x5 kernels, tanh.

    `padding` by default is `same` for the first convolution where the image is smaller than the paper's, else `valid`.
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
    x = layers.flat(x)
    for number, units in enumerate((120, 84), start=1):
        x = layers.dropped(layers.dense(x, units, f"dense{number}", "tanh"), dropout, f"dropout{number}")
    return layers.output(x, n_classes)
