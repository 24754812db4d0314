"""What a model costs."""

import math

from reprocnn.backend import keras


def mflops(model: keras.Model) -> float:
    """Millions of floating-point operations for one image, forwards: two for each multiplication of a convolution or a
    dense layer; the others are small beside them. A step of training takes about three times as many.
    """
    return 2 * sum(_multiplications(layer) for layer in model.layers) / 1e6


def depth(model: keras.Model) -> int:
    """Convolutions and dense layers whose weights are trained, as the papers count."""
    kinds = keras.layers.Conv2D | keras.layers.Dense
    return sum(isinstance(layer, kinds) and layer.trainable for layer in model.layers)


def parameters(model: keras.Model) -> int:
    """Weights that are trained, as the papers count: the statistics of batch normalisation are not."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _multiplications(layer: keras.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        return math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
    return math.prod(layer.kernel.shape) if isinstance(layer, keras.layers.Dense) else 0
