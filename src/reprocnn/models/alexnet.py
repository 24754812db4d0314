"""AlexNet.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012.

Adapted to small images. As in the paper: five convolutions, three dense layers, overlapping pooling. Different: smaller
kernels, fewer units, and the channel counts of A. Krizhevsky, "One weird trick for parallelizing convolutional neural
networks", 2014. Local response normalisation is left out, because Keras does not have it.
"""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Padding, Pooling


def network(
    x: Tensor,
    n_classes: int,
    *,
    padding: Padding = "same",
    strides: int = 2,
    pooling: Pooling = "max",
    dropout: float = 0.5,
    batch_norm: bool = False,
) -> Tensor:
    """Apply Conv64/2-Pool-Conv192-Pool-Conv384-Conv256-Conv256-Pool-Dense1024-Dense1024-output.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        padding: padding of the convolutions.
        strides: stride of the first convolution.
        pooling: kind of pooling, max or average.
        dropout: dropout rate before each of the two hidden dense layers.
        batch_norm: whether batch normalisation follows each convolution.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.
    """
    convolutions = ((64, 5, strides), (192, 5, 1), (384, 3, 1), (256, 3, 1), (256, 3, 1))
    for number, (filters, kernel, step) in enumerate(convolutions, start=1):
        x = layers.convolution(
            x,
            filters,
            kernel,
            f"conv{number}",
            padding=padding,
            strides=step,
            batch_norm=batch_norm,
            kernel_initializer="he_normal",
        )
        if number in (1, 2, 5):
            x = layers.pool(x, pooling, f"pool{number}", size=3, strides=2, padding="same")
    x = layers.flatten(x)
    for number in (1, 2):
        x = layers.dense(layers.dropout(x, dropout, f"dropout{number}"), 1024, f"dense{number}")
    return layers.output(x, n_classes)
