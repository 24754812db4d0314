"""Build the training form of a model: augmentation, faster layers, and bfloat16 on request.

It has the same weights as the plain model. Only the plain model, which has standard Keras layers, is saved.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprocnn.backend import keras, tf
from reprocnn.params import Augmentation, Precision
from reprocnn.training import augmentation


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation as one fused operation in training, also in bfloat16.

    Keras uses about ten float32 operations, each of which reads and writes memory. Two differences: the moving variance
    is the unbiased estimate (divided by n - 1), not the variance of the batch, and `trainable=False` is ignored.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise feature maps, float32 or bfloat16 (batch, height, width, channels)."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        ones = tf.ones_like(self.moving_mean)
        output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma) if self.scale else ones,
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return output


class SmallMapConvolution(keras.layers.Conv2D):  # type: ignore[misc]
    """Convolution with stride 1 and `same` padding whose kernel gradient is one matrix product per pixel of the kernel.

    In bfloat16, oneDNN 3.7 is slow at this gradient if feature maps are small and have many channels (docs/speed.md).
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve feature maps, (batch, height, width, channels), without bias and activation."""
        return _convolve(inputs, tf.convert_to_tensor(kernel))


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _convolve(images: Any, kernel: Any) -> Any:
    def gradient(upstream: Any) -> Any:
        images_gradient = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(images), filter=kernel, out_backprop=upstream, strides=[1, 1, 1, 1], padding="SAME"
        )
        return images_gradient, kernel_gradient(images, upstream, kernel.shape)

    return tf.nn.conv2d(images, kernel, 1, "SAME"), gradient


def kernel_gradient(images: Any, upstream: Any, shape: tuple[int, int, int, int]) -> Any:
    """Compute the gradient of a convolution with stride 1 and `same` padding with respect to its kernel.

    Args:
        images: its input, (batch, height, width, channels).
        upstream: the gradient with respect to its output, (batch, height, width, filters).
        shape: the shape of the kernel, (rows, columns, channels, filters).

    Returns:
        The gradient, in the shape of the kernel.
    """
    rows, columns, channels, filters = shape
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    margins = [[(side - 1) // 2, side // 2] for side in (rows, columns)]
    padded = tf.pad(images, [[0, 0], *margins, [0, 0]])
    flat = tf.reshape(upstream, (-1, filters))
    products = [
        tf.matmul(tf.reshape(padded[:, i : i + height, j : j + width], (-1, channels)), flat, transpose_a=True)
        for i in range(rows)
        for j in range(columns)
    ]
    return tf.reshape(tf.stack(products), shape)


class TrainingModel(keras.Model):  # type: ignore[misc]
    """A model with augmentation and, on request, a moving average of the weights.

    Unlike Keras' own average, it also covers the moving statistics of batch normalisation. The momentum rises from 2/11
    to `ema`, as in tf.train.ExponentialMovingAverage with `num_updates`, so that the initial weights
    soon lose their influence.

    Attributes:
        core: the model without augmentation; its weights are those of the plain model, in the same order.
        averages: the moving averages of the weights of `core`, in order; empty without `ema`.
    """

    def __init__(
        self, core: keras.Model, image_shape: tuple[int, ...], augmentations: list[keras.Layer], ema: float
    ) -> None:
        image = x = keras.Input(image_shape, name="image")
        for layer in augmentations:
            x = layer(x)
        super().__init__(image, core(x), name="training")
        self.core, self._ema = core, ema
        self.averages = [self._average(weight) for weight in core.weights] if ema else []

    def _average(self, weight: keras.Variable) -> keras.Variable:
        return self.add_weight(weight.shape, lambda *_, **__: weight.value, trainable=False, name="average")

    def train_step(self, data: Any) -> Any:
        """Train on a batch and update the moving averages."""
        logs = super().train_step(data)
        step = tf.cast(self.optimizer.iterations, tf.float32)
        momentum = tf.minimum((1 + step) / (10 + step), self._ema)
        for average, weight in zip(self.averages, self.core.weights, strict=False):
            average.assign(momentum * average + (1 - momentum) * weight)
        return logs


def training_model(
    model: keras.Model,
    augment: tuple[Augmentation, ...],
    precision: Precision,
    ema: float,
    seed: int,
    *,
    small_steps: int = 0,
) -> TrainingModel:
    """Build the training form of a model.

    Args:
        model: the plain model; it is not changed.
        augment: kinds of augmentation, in order; `flip` is left to Batches.
        precision: precision of the operations (P. Micikevicius et al., "Mixed Precision Training", 2018); weights and
            output are float32.
        ema: momentum of the moving average of the weights; 0: no average.
        seed: seed of the augmentation.
        small_steps: number of steps at the start that train on smaller images; above 0, the model must take images of
            any size.
    """
    any_size = keras.Input((None, None, model.input_shape[-1]), name="image") if small_steps else None
    core = keras.models.clone_model(
        model, input_tensors=any_size, clone_function=lambda layer: _training_layer(layer, precision)
    )
    core.set_weights(model.get_weights())
    return TrainingModel(core, model.input_shape[1:], augmentation.layers(augment, seed, small_steps), ema)


def kept_weights(model: TrainingModel) -> list[NDArray[np.float32]]:
    """Return the weights for the plain model, in its order: the moving averages if there are any, else the weights."""
    return [keras.ops.convert_to_numpy(weight) for weight in model.averages or model.core.weights]


def _training_layer(layer: keras.Layer, precision: Precision) -> keras.Layer:
    """Return a copy of the layer in this precision, of a faster kind if there is one."""
    config, kind = layer.get_config(), type(layer)
    if precision == "bfloat16" and layer.name != "output":
        config["dtype"] = "mixed_bfloat16"
    if kind is keras.layers.BatchNormalization:
        kind = FusedBatchNormalization
    elif kind is keras.layers.Conv2D and precision == "bfloat16" and _has_small_maps(layer):
        kind = SmallMapConvolution
    return kind.from_config(config)


def _has_small_maps(layer: keras.layers.Conv2D) -> bool:
    """Return whether SmallMapConvolution can and should replace the layer."""
    _, height, width, filters = layer.output.shape
    options = layer.strides, layer.dilation_rate, layer.groups, layer.padding
    replaceable = options == ((1, 1), (1, 1), 1, "same")
    return replaceable and max(height, width) <= 8 and min(layer.input.shape[-1], filters) >= 128
