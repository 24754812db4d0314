"""Compare the training speed of the train stage on deep_cnn with a plain script, PyTorch and a matrix product.

Usage: python benchmarks/training.py [--rounds N] [--torch PYTHON]

It takes about 50 minutes on two cores; nothing else should run meanwhile. PYTHON is the Python of an environment with
torch and numpy; without it there are no rows about PyTorch. Each round measures everything in turn, on the same 12,288
random images of 32x32x3; a ratio is that within a round. A speed is that of the faster one of the 2 epochs after the
first: the first includes TensorFlow's tracing, and other processes only make an epoch slower. It works in a temporary
clone of the last commit and does not change the checkout.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline import ROOT, print_header, print_row, run, run_and_read, set_params, write_raw

IMAGES, EPOCHS = 12_288, 3
SETTINGS = (("float32", 32), ("float32", 512), ("bfloat16", 32), ("bfloat16", 512))
"""Precision and batch size."""
MODES = ("eager", "compiled")
"""How PyTorch runs the net."""
MFLOPS = 3 * 53.159936
"""MFLOPs of a training step of deep_cnn per 32x32x3 image: three times those of `python -m reprocnn models`."""

PRODUCT_CODE = """
import sys, time
from reprocnn import backend
from reprocnn.backend import tf
backend.prepare(0)
square = tf.cast(tf.random.normal([2048, 2048]), sys.argv[1])
product = tf.function(lambda: tf.matmul(square, square))
product()
seconds = []
for _ in range(20):
    start = time.perf_counter()
    product()
    seconds.append(time.perf_counter() - start)
print(2 * 2048**3 / min(seconds) / 1e9)
"""

FIT_CODE = """
import json, sys, time
from pathlib import Path
import numpy as np
from reprocnn.backend import keras
from reprocnn.artifacts.split import read_split
from reprocnn.models.build import build
from reprocnn.params import FitParams, ModelParams
from reprocnn.training.optimizers import optimizer
from reprocnn.training.training_model import training_model
images, labels = (np.array(array) for array in read_split(Path("data/processed/train")))
model = training_model(build(ModelParams(), (32, 32, 3), 10, 0), (), "float32", 0.0, 0)
adam = optimizer(FitParams(), 1, model.trainable_variables)
model.compile(adam, "categorical_crossentropy", metrics=["accuracy"], jit_compile=False, steps_per_execution=16)
ends = []
note_end = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.monotonic()))
held_out = read_split(Path("data/processed/validation"))
model.fit(images, labels, 32, int(sys.argv[1]), verbose=2, callbacks=[note_end], validation_data=held_out)
print(json.dumps(ends))
"""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="number of measurements of each row (default: 3)"
    )
    parser.add_argument(
        "--torch", type=Path, metavar="PYTHON", help="a Python with torch and numpy, for the rows about PyTorch"
    )
    arguments = parser.parse_args()
    if arguments.torch and not arguments.torch.is_file():
        sys.exit(
            f"error: --torch: {arguments.torch} does not exist\n  fix: name the Python of an environment with torch"
        )
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        prepare(clone, IMAGES)
        measurements = list_measurements(clone, arguments.torch and arguments.torch.absolute())
        rounds = []
        for number in range(arguments.rounds):
            rounds.append({name: measure() for name, measure in measurements.items()})
            print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr, flush=True)
        memory = [measure_memory(clone) for _ in range(arguments.rounds)]
    print_table(rounds, memory)


def prepare(clone: Path, images: int) -> None:
    """Clone the last commit and preprocess random images: `images` for training, and 1 % more for validation."""
    run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
    set_params(clone, validation_fraction=0.01, epochs=EPOCHS)
    write_raw(clone, images * 100 // 99 + 1)
    run(clone, sys.executable, "stages/preprocess.py")


def list_measurements(clone: Path, torch: Path | None) -> dict[str, Callable[[], float]]:
    """Return name -> function that measures images per second, or GFLOP/s of a product."""
    measurements: dict[str, Callable[[], float]] = {
        "product float32": lambda: measure_product(clone, "float32"),
        "product bfloat16": lambda: measure_product(clone, "bfloat16"),
        "plain": lambda: images_per_second(json.loads(run_plain_script(clone)[-1])["ends"]),
        "fit": lambda: images_per_second(json.loads(run_code(clone, FIT_CODE, str(EPOCHS))[-1])),
        "flip_shift": lambda: measure_stage(clone, augment="flip_shift"),
    }
    for precision, batch in SETTINGS:
        params = {"precision": precision, "batch_size": batch}
        measurements[f"{precision} {batch}"] = lambda params=params: measure_stage(clone, **params)  # type: ignore[misc]
        for mode in MODES if torch else ():
            command = [str(torch), str(ROOT / "benchmarks/torch_fit.py"), "data/processed"]
            command += [str(batch), precision, mode, str(EPOCHS)]
            name = f"torch {precision} {batch} {mode}"
            measurements[name] = lambda command=command: float(run_and_read(clone, *command)[-1])  # type: ignore[misc]
    return measurements


def print_table(rounds: list[dict[str, float]], memory: list[float]) -> None:
    """Print a row per speed and per ratio."""
    print_header(len(rounds))

    def print_speeds(what: str, name: str, unit: str = "images/s") -> None:
        print_row(what, [r[name] for r in rounds], unit)

    print_speeds("the text's script: `fit` on arrays, batch 32", "plain")
    for precision, batch in SETTINGS:
        ours = f"{precision} {batch}"
        print_speeds(f"train stage, {precision}, batch {batch}", ours)
        print_row("relative to the text's script", [r[ours] / r["plain"] for r in rounds], "x")
    for name in [name for name in rounds[0] if name.startswith("torch")]:
        print_speeds(f"PyTorch, {name.removeprefix('torch ')}", name)
    for precision, batch in SETTINGS:
        ours = f"{precision} {batch}"
        if f"torch {ours} eager" in rounds[0]:
            values = [r[ours] / max(r[f"torch {ours} {mode}"] for mode in MODES) for r in rounds]
            print_row(f"train stage relative to the faster PyTorch, {precision}, batch {batch}", values, "x")
    costs = [100 * (r["fit"] / r["float32 32"] - 1) for r in rounds]
    print_row("overhead of checkpoints, MLflow, history, progress and determinism over `fit` alone", costs, "%")
    print_row("overhead of `augment: flip_shift`", [100 * (r["float32 32"] / r["flip_shift"] - 1) for r in rounds], "%")
    print_row("memory of training on 50,000 images, without that of the imports", memory, "MiB")
    for precision in ("float32", "bfloat16"):
        print_speeds(f"TensorFlow's 2048x2048 matrix product, {precision}", f"product {precision}", "GFLOP/s")
    for precision, batch in SETTINGS:
        share = [r[f"{precision} {batch}"] * MFLOPS / 10 / r[f"product {precision}"] for r in rounds]
        print_row(f"train stage, {precision}, batch {batch}: FLOP/s relative to the matrix product", share, "%")


def images_per_second(ends: list[float], images: int = IMAGES) -> float:
    """Return the images per second of the fastest epoch after the first, from the times at which epochs ended."""
    return images / min(end - start for start, end in pairwise(ends))


def measure_stage(clone: Path, images: int = IMAGES, **params: Any) -> float:
    """Run the train stage; return its images per second from its journal."""
    run(clone, "git", "checkout", "params.yaml")
    set_params(clone, validation_fraction=0.01, epochs=EPOCHS, **params)
    run(clone, "rm", "-rf", ".dvc/tmp/reprocnn")
    run(clone, sys.executable, "stages/train.py")
    (journal,) = (clone / ".dvc/tmp/reprocnn/journals").glob("*.jsonl")
    events = map(json.loads, journal.read_text().splitlines())
    return images_per_second([event["time"] for event in events if event["event"] == "epoch"], images)


def run_plain_script(clone: Path) -> list[str]:
    """Run the text's script; return the lines that it printed."""
    return run_and_read(clone, sys.executable, str(ROOT / "benchmarks/bare_fit.py"), "data/processed", str(EPOCHS))


def run_code(clone: Path, code: str, *arguments: str) -> list[str]:
    """Run Python code that imports the clone's reprocnn; return the lines that it printed."""
    return run_and_read(clone, sys.executable, "-c", f"import sys; sys.path.insert(0, 'src')\n{code}", *arguments)


def measure_product(clone: Path, precision: str) -> float:
    """Measure the GFLOP/s of TensorFlow's matrix product, a yardstick for the operations per second of a net."""
    return float(run_code(clone, PRODUCT_CODE, precision)[-1])


def measure_memory(clone: Path) -> float:
    """Measure the peak memory in MiB of an epoch of 50,000 images, minus that of the imports of the stage."""
    run(clone, "git", "checkout", "params.yaml")
    set_params(clone, validation_fraction=0.01, epochs=1, batch_size=128)
    write_raw(clone, 50_000 * 100 // 99)
    run(clone, sys.executable, "stages/preprocess.py")
    run(clone, "rm", "-rf", ".dvc/tmp/reprocnn")
    peaks = []
    for name in ("imports", "__main__"):
        code = (
            "import resource, runpy; sys.path.insert(0, 'stages')\n"
            f"runpy.run_path('stages/train.py', run_name='{name}')\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        peaks.append(int(run_code(clone, code)[-1]) / (2**20 if sys.platform == "darwin" else 2**10))
    return peaks[1] - peaks[0]


if __name__ == "__main__":
    main()
