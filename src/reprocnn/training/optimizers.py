"""Build the optimizers."""

import math
from typing import Any

from reprocnn.backend import keras, tf
from reprocnn.params import FitParams
from reprocnn.training.schedules import WarmupSchedule


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam as one fused operation per variable instead of about twelve, each of which reads and writes memory."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable and its moments."""
        place = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class ConvolutionMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon that also updates convolution kernels, for which Keras' Muon uses AdamW, and keeps the norm of each kernel.

    A kernel (height, width, input channels, filters) is treated as a matrix with one column per filter. Each step sets
    its norm to the square root of the number of filters, then moves it by an orthogonal matrix times the learning rate,
    which is therefore relative to the kernel; three Newton-Schulz steps suffice (K. Jordan et al., "Muon: An optimizer
    for hidden layers in neural networks", 2024, and its airbench94_muon). AdamW updates the output layer, the biases
    and the parameters of normalisation layers, with a fifth of the learning rate.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) < 2 or "output" in variable.path.split("/")

    def _muon_update_step(self, gradient: Any, variable: Any, learning_rate: Any, momentum: Any) -> None:
        momentum.assign(self.momentum * momentum + gradient)
        ahead = gradient + self.momentum * momentum  # Nesterov momentum
        filters = variable.shape[-1]
        update = self.zeropower_via_newtonschulz5(tf.reshape(ahead, (-1, filters)), self.ns_steps)
        kernel = variable * (math.sqrt(filters) / tf.norm(variable))
        variable.assign(kernel - learning_rate * tf.reshape(update, variable.shape))


def optimizer(recipe: FitParams, steps: int, variables: list[keras.Variable]) -> keras.optimizers.Optimizer:
    """Build the optimizer of a recipe.

    Args:
        recipe: the optimizer with its learning rate, schedule, momentum and weight decay.
        steps: the number of steps of the whole training run.
        variables: the trainable variables; weight decay skips biases and the parameters of normalisation layers.
    """
    rate: Any = recipe.learning_rate
    if recipe.schedule != "constant" or recipe.warmup:
        rate = WarmupSchedule(recipe.schedule, recipe.learning_rate, steps, recipe.warmup)
    options = {"learning_rate": rate, "weight_decay": recipe.weight_decay or None, "name": recipe.optimizer}
    if recipe.optimizer == "sgd":
        built = keras.optimizers.SGD(momentum=recipe.momentum, nesterov=recipe.momentum > 0, **options)
    elif recipe.optimizer == "muon":
        # The norm of the other kernels is fixed, so that only the output layer can decay
        options |= {"weight_decay": None, "adam_weight_decay": recipe.weight_decay}
        built = ConvolutionMuon(momentum=recipe.momentum, ns_steps=3, adam_lr_ratio=0.2, **options)
    else:  # Keras' AdamW is its Adam with weight decay
        built = FusedAdam(**options)
    built.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    built.build(variables)
    return built
