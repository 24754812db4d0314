"""ResNet: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", 2016; section 4.2, CIFAR-10.

6n+2 layers; shortcuts without parameters (option A), so that the numbers of parameters are the paper's.
"""

from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models import layers
from reprocnn.models.layers import Tensor


def network(x: Tensor, n_classes: int, *, depth: int = 20, dropout: float = 0.0) -> Tensor:
    """Apply Conv16, then 3 stages of (depth-2)/6 residual blocks of 16, 32 and 64 channels, the mean, output.

    Raises:
        UserError: the depth is not 6n+2.
    """
    if depth % 6 != 2 or depth < 8:
        raise UserError(
            f"model=resnet has 6n+2 layers (8, 14, 20, 32, 44, 56, ...), found depth={depth}", "-S depth=20"
        )
    x = _convolution(x, 16, "conv")
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, (depth - 2) // 6 + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _residual(x, filters, strides, f"stage{stage}_block{block}")
    return layers.output(layers.dropped(layers.averaged(x), dropout), n_classes)


def _residual(x: Tensor, filters: int, strides: int, name: str) -> Tensor:
    """relu(x + f(x)), f two convolutions."""
    changed = _convolution(x, filters, f"{name}_conv1", strides)
    changed = keras.layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv2"
    )(changed)
    changed = layers.normalized(changed, f"{name}_conv2")
    if strides > 1:
        x = _halved(x, name)
    return layers.activated(keras.layers.Add(name=f"{name}_add")([x, changed]), "relu", name)


def _halved(x: Tensor, name: str) -> Tensor:
    """Every second pixel, with as many channels of zeros added."""
    x = layers.pool(x, "max", f"{name}_shortcut", size=1, strides=2, padding="same")
    zeros = keras.layers.Rescaling(0.0, name=f"{name}_zeros")(x)
    return keras.layers.Concatenate(name=f"{name}_channels")([x, zeros])


def _convolution(x: Tensor, filters: int, name: str, strides: int = 1) -> Tensor:
    """Padded by a pixel on each side, so that with strides of 2 it is centred on the pixels that `_halved` keeps."""
    x = keras.layers.ZeroPadding2D(1, name=f"{name}_padding")(x)
    return layers.convolution(x, filters, 3, name, strides=strides, batch_norm=True, kernel_initializer="he_normal")
