"""The form in which a model is trained: augmentation before it, faster layers, bfloat16 if asked for.

It has the weights of the plain model, Keras' own layers alone, which is what is saved.
"""

from typing import Any

from reprocnn.backend import keras, tf
from reprocnn.training import augmentation


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation that trains by TensorFlow's one operation, in bfloat16 too.

    Keras' own is some ten operations, in float32, each of which goes through memory. Differs in the moving variance,
    which is that of the whole set (divided by n - 1), not that of the batch.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise images, (batch, height, width, channels)."""
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


def training_model(model: keras.Model, augment: str, precision: str, seed: int) -> tuple[keras.Model, keras.Model]:
    """The model to train, and the part of it whose weights are those of `model`, in the same order.

    Args:
        model: plain; it stays as it is.
        augment: as in params.yaml; `flip` is left to Batches.
        precision: float32 or bfloat16 (P. Micikevicius et al., "Mixed Precision Training", 2018); weights and output
            are float32.
        seed: of the augmentation.
    """
    core = keras.models.clone_model(model, clone_function=lambda layer: _faster(layer, precision))
    core.set_weights(model.get_weights())
    image = x = keras.Input(model.input_shape[1:], name="image")
    for layer in augmentation.layers(augment, seed):
        x = layer(x)
    return keras.Model(image, core(x), name="training"), core


def _faster(layer: keras.Layer, precision: str) -> keras.Layer:
    config = layer.get_config()
    if precision == "bfloat16" and layer.name != "output":
        config["dtype"] = "mixed_bfloat16"
    kind = FusedBatchNormalization if isinstance(layer, keras.layers.BatchNormalization) else type(layer)
    return kind.from_config(config)
