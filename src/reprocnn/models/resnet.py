"""ResNet: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", 2016; section 4.2, CIFAR-10.

It has 6n+2 layers. Shortcuts have no parameters (option A), so the parameter counts equal those of the paper.
"""

from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models import layers
from reprocnn.models.layers import Tensor


def network(x: Tensor, n_classes: int, *, depth: int = 20, dropout: float = 0.0) -> Tensor:
    """Apply Conv16, 3 stages of residual blocks with 16, 32 and 64 filters, global average pooling, Dropout, output.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        depth: number of layers, 6n+2; each stage has n = (depth - 2) / 6 blocks.
        dropout: dropout rate before the output layer.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.

    Raises:
        UserError: the depth is not 6n+2.
    """
    if depth % 6 != 2 or depth < 8:
        raise UserError(
            f"model=resnet needs a depth of 6n+2 (8, 14, 20, 32, 44, 56, ...), found depth={depth}", "-S depth=20"
        )
    x = _convolution(x, 16, "conv")
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _residual(x, filters, strides, f"stage{stage}_block{block}")
    return layers.output(layers.dropout(layers.global_average_pool(x), dropout), n_classes)


def _residual(x: Tensor, filters: int, strides: int, name: str) -> Tensor:
    """Apply a residual block: relu(x + f(x)), where f is two convolutions."""
    residual = _convolution(x, filters, f"{name}_conv1", strides)
    residual = keras.layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv2"
    )(residual)
    residual = layers.batch_normalization(residual, f"{name}_conv2")
    if strides > 1:
        x = _halve(x, name)
    return layers.activate(keras.layers.Add(name=f"{name}_add")([x, residual]), "relu", name)


def _halve(x: Tensor, name: str) -> Tensor:
    """Keep every second pixel, and double the channels by adding zeros."""
    x = layers.pool(x, "max", f"{name}_shortcut", size=1, strides=2, padding="same")
    zeros = keras.layers.Rescaling(0.0, name=f"{name}_zeros")(x)
    return keras.layers.Concatenate(name=f"{name}_channels")([x, zeros])


def _convolution(x: Tensor, filters: int, name: str, strides: int = 1) -> Tensor:
    """Apply convolution, batch normalisation and ReLU.

    Padding by one pixel on each side centres a convolution with stride 2 on the pixels that `_halve` keeps.
    """
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_padding")(x)
    return layers.convolution(x, filters, 3, name, strides=strides, batch_norm=True, kernel_initializer="he_normal")
