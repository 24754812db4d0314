"""Compute the size and the cost of a model."""

import math

from reprocnn.backend import keras


def mflops(model: keras.Model) -> float:
    """Return the millions of floating-point operations (MFLOPs) of the forward pass for one image.

    Counts two operations per multiply-add of the convolutions and dense layers; other layers need few in comparison.
    A training step needs about three times as many.
    """
    return 2 * sum(_multiplications(layer) for layer in model.layers) / 1e6


def depth(model: keras.Model) -> int:
    """Return the number of convolutions and dense layers with trainable weights, as papers count layers."""
    kinds = keras.layers.Conv2D | keras.layers.Dense
    return sum(isinstance(layer, kinds) and layer.trainable for layer in model.layers)


def parameters(model: keras.Model) -> int:
    """Return the number of trainable parameters, as papers count them: without the batch-normalisation statistics."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _multiplications(layer: keras.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        return math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
    return math.prod(layer.kernel.shape) if isinstance(layer, keras.layers.Dense) else 0
