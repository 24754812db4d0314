"""Compare training steps in bfloat16 with and without SmallMapConvolution.

Usage: python benchmarks/kernel_gradient.py [--steps N]

It takes one to two minutes on two cores; nothing else should run meanwhile. Both sides take their steps in turn, on
the same random images of 32x32x3; the ratio is the median of those of neighbouring steps.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
from pipeline import describe_machine

from reprocnn import backend
from reprocnn.backend import keras
from reprocnn.models.build import build
from reprocnn.params import FitParams, ModelParams
from reprocnn.training import training_model
from reprocnn.training.optimizers import optimizer

Case = tuple[str, int, str, int]
"""Model, images per batch, optimizer, and the number of steps on small images."""
CASES: tuple[Case, ...] = (
    ("speednet", 1000, "muon", 0),
    ("speednet", 1000, "muon", 10**9),
    ("vgg", 128, "adam", 0),
    ("alexnet", 128, "adam", 0),
)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=9, metavar="N", help="number of steps of each side (default: 9)")
    steps = parser.parse_args().steps
    backend.prepare(0)
    print(f"{describe_machine(steps)}\n")
    print("| model, batch | without, ms | with, ms | ratio | min to max |\n|---|---|---|---|---|", flush=True)
    for case in CASES:
        model, batch_size, _, small_steps = case
        without, own = measure(case, steps)
        ratios = [a / b for a, b in zip(own, without, strict=True)]
        middles = " | ".join(f"{1000 * statistics.median(seconds):,.0f}" for seconds in (without, own))
        what = f"`{model}`, {batch_size}" + (", `low_resolution`" if small_steps else "")
        spread = f"{statistics.median(ratios):.2f} x | {min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {what} | {middles} | {spread} |", flush=True)


def measure(case: Case, steps: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each step, without and with SmallMapConvolution."""
    with mock.patch.object(training_model, "_has_small_maps", return_value=False):
        without = step(*case)
    own = step(*case)
    for first in (without, own):
        first()  # the first step includes TensorFlow's tracing
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(steps):
        for side, take_step in zip(seconds, (without, own), strict=True):
            start = time.monotonic()
            take_step()
            side.append(time.monotonic() - start)
    return seconds


def step(model: str, batch_size: int, name: str, small_steps: int) -> Callable[[], None]:
    """Build a model; return a function that trains it for a step."""
    random = np.random.default_rng(0)
    images = random.random((batch_size, 32, 32, 3), np.float32)
    labels = np.eye(10, dtype=np.float32)[random.integers(0, 10, batch_size)]
    plain = build(ModelParams.model_validate({"model": model}), (32, 32, 3), 10, 0)
    trained = training_model.training_model(plain, (), "bfloat16", 0, 0, small_steps=small_steps)
    recipe = FitParams.model_validate({"optimizer": name})
    loss = keras.losses.CategoricalCrossentropy()
    trained.compile(optimizer(recipe, 1, trained.trainable_variables), loss, jit_compile=False)
    return lambda: trained.train_on_batch(images, labels)


if __name__ == "__main__":
    main()
