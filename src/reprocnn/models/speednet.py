"""The network of the CIFAR-10 speed records.

K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024 (airbench94), after hlb-CIFAR10 by tysam-code and
D. Page's "How to Train Your ResNet", 2018. Differences: SiLU (with GELU a CPU trains in bfloat16 on over a third fewer
images per second), Keras' default epsilon in batch normalisation, and no bias in the whitening layer.
"""

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.split import rows_per_chunk
from reprocnn.backend import keras
from reprocnn.models import layers
from reprocnn.models.layers import Tensor
from reprocnn.params import Pooling

_WHITENING = "whitening"
"""Name of the first layer; `whitening_kernel` computes its weights from the training images."""
_BLOCKS = (1, 2, 3)


def network(x: Tensor, n_classes: int, *, width: int = 64, pooling: Pooling = "max", dropout: float = 0.0) -> Tensor:
    """Apply whitening of 2x2 patches, 3 blocks, global max pooling, Dropout, output.

    A block is Conv-Pool-BatchNorm-SiLU-Conv-BatchNorm-SiLU.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        width: filters of the first block; the second and third have 4 * width.
        pooling: kind of pooling, max or average.
        dropout: dropout rate before the output layer.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.
    """
    patch = 2 * 2 * x.shape[-1]
    whitening = keras.layers.Conv2D(2 * patch, 2, use_bias=False, trainable=False, name=_WHITENING)
    x = layers.activate(layers.apply(whitening, x), "silu", _WHITENING)
    for block, filters in zip(_BLOCKS, (width, 4 * width, 4 * width), strict=True):
        first, second = _convolutions(block)
        x = _convolution(x, filters, first)
        small = min(x.shape[1:3]) < 4  # `same` padding keeps the last pixel, also with `low_resolution`
        x = layers.pool(x, pooling, f"block{block}_pool", padding="same" if small else "valid")
        x = _normalize(x, first)
        x = _normalize(_convolution(x, filters, second), second)
    x = keras.layers.GlobalMaxPooling2D(name="global_pool")(x)
    x = keras.layers.Rescaling(1 / (4 * width), name="scale")(x)
    return layers.output(layers.dropout(x, dropout), n_classes, use_bias=False)


def _convolutions(block: int) -> tuple[str, str]:
    """Return the names of the two convolutions of a block; `identity_kernel` initialises them."""
    return f"block{block}_identity1", f"block{block}_identity2"


def _convolution(x: Tensor, filters: int, name: str) -> Tensor:
    return keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)


def _normalize(x: Tensor, name: str) -> Tensor:
    """Apply batch normalisation without a scale and with momentum 0.6, then SiLU."""
    return layers.activate(layers.batch_normalization(x, name, scale=False, momentum=0.6), "silu", name)


def initialize(model: keras.Model, images: NDArray[np.float32]) -> None:
    """Set the initial weights: whitening, convolutions that start as the identity, an output layer of unit deviation.

    Args:
        model: a speednet; changed in place.
        images: normalised training images, float32 (N, height, width, channels); at most 5,000 of them are used.
    """
    model.get_layer(_WHITENING).set_weights([whitening_kernel(images[:: -(-len(images) // 5000)])])
    for name in (name for block in _BLOCKS for name in _convolutions(block)):
        layer = model.get_layer(name)
        layer.set_weights([identity_kernel(layer.get_weights()[0])])
    (kernel,) = model.get_layer("output").get_weights()
    model.get_layer("output").set_weights([kernel / kernel.std()])


def whitening_kernel(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute whitening filters: their outputs on the 2x2 patches of the images are uncorrelated.

    Args:
        images: float32 (N, height, width, channels), normalised; a few thousand suffice; may be memory-mapped.

    Returns:
        float32 (2, 2, channels, 8 * channels): the eigenvectors of the second-moment matrix of the patches, divided by
        the square roots of their eigenvalues, followed by their negatives (Page, "How to Train Your ResNet 8: Bag of
        Tricks", 2019).
    """
    channels = images.shape[-1]
    moments, n = np.zeros((4 * channels, 4 * channels)), 0
    rows = rows_per_chunk(images.shape[1:], most=256)
    for start in range(0, len(images), rows):
        windows = np.lib.stride_tricks.sliding_window_view(images[start : start + rows], (2, 2), axis=(1, 2))
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 4 * channels).astype(np.float64)
        moments, n = moments + patches.T @ patches, n + len(patches)
    values, vectors = np.linalg.eigh(moments / n)
    filters = (vectors / np.sqrt(values + 5e-4))[:, ::-1].reshape(2, 2, channels, 4 * channels)
    return np.concatenate([filters, -filters], axis=-1).astype(np.float32)


def identity_kernel(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a kernel whose first filters each copy one input channel (S. Zagoruyko's Dirac initialisation).

    Args:
        kernel: float32 (3, 3, input channels, filters).

    Returns:
        float32, the same shape; filters beyond the input channels are unchanged.
    """
    channels = min(kernel.shape[2:])
    identity = kernel.copy()
    identity[..., :channels] = 0
    identity[1, 1, range(channels), range(channels)] = 1
    return identity
