"""Compute heat maps of what a model looks at.

Grad-CAM: R. R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
2017. For models without convolutions, occlusion: M. D. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional
Networks", 2014.
"""

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.split import rows_per_chunk
from reprocnn.backend import keras, tf
from reprocnn.evaluation.predictions import predict

_SMALLEST_MAP = 4
"""Cells per side below which a feature map says too little about the place."""
_POSITIONS = 7
"""Positions per axis of the patch that hides a part of the image; its side is a quarter of the image's."""

_Convolution = keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.SeparableConv2D
_Unfit = keras.layers.MaxPooling2D | keras.layers.AveragePooling2D | keras.Model


def heat_maps(model: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute for each image where the evidence for a class is.

    Uses Grad-CAM, or occlusion for a model without a feature map of 4x4 cells or more.

    Args:
        model: takes images of raw pixels, 0-255, and returns class probabilities.
        images: uint8 (N, height, width, channels), 0-255.
        classes: int64 (N,), the class to explain in each image.

    Returns:
        float32 (N, height, width), 0-1; the maximum of each map is 1, or 0 if nothing speaks for the class.
    """
    logits = _logits(model)
    if parts := _parts(model, logits):
        maps = _grad_cam(*parts, images, classes)
    else:
        maps = _occlusion(keras.Model(model.inputs[0], logits), images, classes)
    return _scaled(maps)


def _logits(model: keras.Model) -> keras.KerasTensor:
    """Return the symbolic logits of a model: what enters its softmax.

    The gradient of a probability vanishes where the model is certain; that of a logit does not.
    """
    last = model.layers[-1]
    config = last.get_config()
    if "activation" not in config:
        return keras.ops.log(keras.ops.maximum(model.outputs[0], keras.config.epsilon()))
    linear = type(last).from_config(config | {"activation": "linear"})
    logits = linear(last.input)
    linear.set_weights(last.get_weights())
    return logits


def _parts(model: keras.Model, logits: keras.KerasTensor) -> tuple[keras.Model, keras.Model] | None:
    """Split a model at its last useful feature map: images -> feature map -> logits. None if it has no such map.

    That is the output of the last layer, from the first convolution on, with at least 4x4 cells. Deeper maps show
    objects rather than edges, but for small images they have too few cells. Pooling layers don't count: the map before
    them has the same content and more cells. Nor do layers in one of several parallel branches, because their maps have
    only a part of the evidence.
    """
    first = next((i for i, layer in enumerate(model.layers) if isinstance(layer, _Convolution)), len(model.layers))
    for layer in reversed(model.layers[first:]):
        if isinstance(layer, _Unfit) or len(layer.output.shape) != 4 or min(layer.output.shape[1:3]) < _SMALLEST_MAP:
            continue
        try:
            rest = keras.Model(layer.output, logits)
        except ValueError:  # there is a way around this layer
            continue
        return keras.Model(model.inputs[0], layer.output), rest
    return None


def _grad_cam(
    front: keras.Model, rest: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Compute Grad-CAM: the sum of the feature maps, weighted by the mean gradient of the class's logit.

    Returns:
        float32 (N, height, width) of the images, at least 0.
    """
    rows, maps = rows_per_chunk(images.shape[1:], most=64), []
    for start in range(0, len(images), rows):
        features = front(images[start : start + rows].astype(np.float32), training=False)
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = tf.gather(rest(features, training=False), classes[start : start + rows], axis=1, batch_dims=1)
        weights = tf.reduce_mean(tape.gradient(logits, features), axis=(1, 2), keepdims=True)
        evidence = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1, keepdims=True))
        maps.append(tf.image.resize(evidence, images.shape[1:3])[..., 0].numpy())
    return np.concatenate(maps)


def _occlusion(logits: keras.Model, images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute how much the log-odds of the class drop when a patch of the image's mean colour hides a part of it.

    The log-odds, log(p / (1 - p)), order like the probability p, but also change visibly where p is almost 1.

    Returns:
        float32 (N, height, width), at least 0: the mean drop over the patches that cover the pixel.
    """
    height, width = images.shape[1:3]
    patches = [(top, left) for top in _starts(height) for left in _starts(width)]
    maps = np.zeros(images.shape[:3], np.float32)
    for image, label, total in zip(images, classes, maps, strict=True):
        hidden = np.repeat(image[np.newaxis], len(patches) + 1, axis=0)  # the last one stays whole
        for copy, (top, left) in zip(hidden[:-1], patches, strict=True):
            copy[top : top + _patch(height), left : left + _patch(width)] = image.mean(axis=(0, 1)).round()
        odds = _log_odds(predict(logits, hidden), int(label))
        covered = np.zeros((height, width), np.float32)
        for (top, left), drop in zip(patches, odds[-1] - odds[:-1], strict=True):
            place = np.s_[top : top + _patch(height), left : left + _patch(width)]
            total[place] += drop
            covered[place] += 1
        total /= np.maximum(covered, 1)
    return maps.clip(0)


def _patch(side: int) -> int:
    """Return the side of the patch in pixels."""
    return max(1, side // 4)


def _starts(side: int) -> list[int]:
    """Return the first pixel of each position of the patch; together they cover the whole side."""
    return np.unique(np.linspace(0, side - _patch(side), _POSITIONS).round().astype(int)).tolist()


def _log_odds(logits: NDArray[np.float64], label: int) -> NDArray[np.float64]:
    """Return the log-odds of a class, float64 (n,), from logits, float64 (n, classes)."""
    others = np.delete(logits, label, axis=1)
    return logits[:, label] - np.logaddexp.reduce(others, axis=1)


def _scaled(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each map by its maximum; a map without positive values stays 0."""
    most = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, most, out=np.zeros_like(maps), where=most > 0)
