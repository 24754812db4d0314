"""Define the learning-rate schedules."""

import math
from typing import Any

from reprocnn.backend import keras
from reprocnn.params import Schedule


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Learning rate per step: a linear warm-up from a fifth of the peak to the peak, then the chosen schedule.

    `constant` stays at the peak. `cosine` falls to 0 along a half cosine (I. Loshchilov, F. Hutter, "SGDR", 2017).
    `one_cycle` falls to 0 linearly (L. Smith, "A Disciplined Approach to Neural Network Hyper-Parameters", 2018), but
    keeps the momentum constant.

    Args:
        kind: constant, cosine or one_cycle.
        peak: the highest learning rate.
        steps: the number of steps of the whole training run.
        warmup: the fraction of the steps before the peak, 0 to 0.9.
    """

    def __init__(self, kind: Schedule, peak: float, steps: int, warmup: float) -> None:
        self._kind, self._peak, self._steps, self._warmup = kind, peak, steps, warmup

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, counted from 0."""
        ops = keras.ops
        done = ops.cast(step, "float32") / self._steps
        rest = ops.clip((1 - done) / (1 - self._warmup), 0.0, 1.0)  # from 1 at the peak to 0 at the end
        down = {"constant": ops.ones_like(done), "one_cycle": rest, "cosine": 0.5 - 0.5 * ops.cos(math.pi * rest)}
        if not self._warmup:
            return self._peak * down[self._kind]
        up = 0.2 + 0.8 * done / self._warmup
        return self._peak * ops.where(done < self._warmup, up, down[self._kind])
