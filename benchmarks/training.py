"""Measure the training speed of the train stage on deep_cnn against a plain script, PyTorch and the chip.

Usage: python benchmarks/training.py [--rounds N] [--torch PYTHON]   (some 50 minutes; nothing else should run)

PYTHON is that of an environment with torch and numpy; without it these rows are left out. In each round all are
measured in turn, on the same 12,288 random images of 32x32x3, and ratios are those of one round. A rate is that of the
fastest of 2 epochs after the first, which has the tracing: what else the machine does only ever adds. It works in a
temporary clone of the last commit and leaves the checkout as it was.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline import ROOT, header, printed, row, run, set_params, write_raw

IMAGES, EPOCHS = 12_288, 3
KINDS = (("float32", 32), ("float32", 512), ("bfloat16", 32), ("bfloat16", 512))
"""Precision and batch size."""
MODES = ("eager", "compiled")
"""Of PyTorch."""
MFLOPS = 3 * 53.159936
"""Of deep_cnn on an image of 32x32x3, forwards and backwards: `python -m reprocnn models`."""

PRODUCT = """
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

BARE = """
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
told = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.monotonic()))
held_out = read_split(Path("data/processed/validation"))
model.fit(images, labels, 32, int(sys.argv[1]), verbose=2, callbacks=[told], validation_data=held_out)
print(json.dumps(ends))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default: 3)")
    parser.add_argument("--torch", type=Path, help="a Python with torch and numpy, to measure against it")
    arguments = parser.parse_args()
    if arguments.torch and not arguments.torch.is_file():
        sys.exit(f"error: there is no {arguments.torch}\n  fix: --torch venv/bin/python")
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        prepare(clone, IMAGES)
        measures = what(clone, arguments.torch and arguments.torch.absolute())
        rounds = []
        for number in range(arguments.rounds):
            rounds.append({name: measure() for name, measure in measures.items()})
            print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr, flush=True)
        memory = [held(clone) for _ in range(arguments.rounds)]
    table(rounds, memory)


def prepare(clone: Path, images: int) -> None:
    """A clone with that many images to train on, and an epoch's checks on 1 % more."""
    run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
    set_params(clone, validation_fraction=0.01, epochs=EPOCHS)
    write_raw(clone, images * 100 // 99 + 1)
    run(clone, sys.executable, "stages/preprocess.py")


def what(clone: Path, torch: Path | None) -> dict[str, Callable[[], float]]:
    """What is measured, by name: images per second, or GFLOP/s."""
    measures: dict[str, Callable[[], float]] = {
        "product float32": lambda: product(clone, "float32"),
        "product bfloat16": lambda: product(clone, "bfloat16"),
        "plain": lambda: rate(json.loads(plain(clone)[-1])["ends"]),
        "bare": lambda: rate(json.loads(own(clone, BARE, str(EPOCHS))[-1])),
        "flip_shift": lambda: stage(clone, augment="flip_shift"),
    }
    for precision, batch in KINDS:
        params = {"precision": precision, "batch_size": batch}
        measures[f"{precision} {batch}"] = lambda params=params: stage(clone, **params)  # type: ignore[misc]
        for mode in MODES if torch else ():
            command = [str(torch), str(ROOT / "benchmarks/torch_fit.py"), "data/processed"]
            command += [str(batch), precision, mode, str(EPOCHS)]
            name = f"torch {precision} {batch} {mode}"
            measures[name] = lambda command=command: float(printed(clone, *command)[-1])  # type: ignore[misc]
    return measures


def table(rounds: list[dict[str, float]], memory: list[float]) -> None:
    """Print a row for each rate and each ratio."""
    header(len(rounds))

    def rates(what: str, name: str, unit: str = "images/s") -> None:
        row(what, [r[name] for r in rounds], unit)

    rates("the text's script: `fit` on arrays, batch 32", "plain")
    for precision, batch in KINDS:
        ours = f"{precision} {batch}"
        rates(f"train stage, {precision}, batch {batch}", ours)
        row("against the text's script", [r[ours] / r["plain"] for r in rounds], "x")
    for name in [name for name in rounds[0] if name.startswith("torch")]:
        rates(f"PyTorch, {name.removeprefix('torch ')}", name)
    for precision, batch in KINDS:
        ours = f"{precision} {batch}"
        if f"torch {ours} eager" in rounds[0]:
            values = [r[ours] / max(r[f"torch {ours} {mode}"] for mode in MODES) for r in rounds]
            row(f"train stage against the better PyTorch, {precision}, batch {batch}", values, "x")
    costs = [100 * (r["bare"] / r["float32 32"] - 1) for r in rounds]
    row("checkpoints, MLflow, history, progress, determinism: cost against the bare `fit` of the net", costs, "%")
    row("`flip_shift`: cost", [100 * (r["float32 32"] / r["flip_shift"] - 1) for r in rounds], "%")
    row("memory of training on 50,000 images above that of the imports", memory, "MiB")
    for precision in ("float32", "bfloat16"):
        rates(f"TensorFlow's product of 2048x2048 matrices, {precision}", f"product {precision}", "GFLOP/s")
    for precision, batch in KINDS:
        share = [r[f"{precision} {batch}"] * MFLOPS / 10 / r[f"product {precision}"] for r in rounds]
        row(f"train stage, {precision}, batch {batch}: operations a second, of those of the product", share, "%")


def rate(ends: list[float], images: int = IMAGES) -> float:
    """Images per second of the fastest epoch, by the ends of the epochs."""
    return images / min(end - start for start, end in pairwise(ends))


def stage(clone: Path, images: int = IMAGES, **params: Any) -> float:
    """Images per second of the train stage, with all it does, by its journal."""
    run(clone, "git", "checkout", "params.yaml")
    set_params(clone, validation_fraction=0.01, epochs=EPOCHS, **params)
    run(clone, "rm", "-rf", ".dvc/tmp/reprocnn")
    run(clone, sys.executable, "stages/train.py")
    (journal,) = (clone / ".dvc/tmp/reprocnn/journals").glob("*.jsonl")
    events = map(json.loads, journal.read_text().splitlines())
    return rate([event["time"] for event in events if event["event"] == "epoch"], images)


def plain(clone: Path) -> list[str]:
    """What the text's script prints."""
    return printed(clone, sys.executable, str(ROOT / "benchmarks/bare_fit.py"), "data/processed", str(EPOCHS))


def own(clone: Path, code: str, *arguments: str) -> list[str]:
    """What Python code prints that imports the clone's."""
    return printed(clone, sys.executable, "-c", f"import sys; sys.path.insert(0, 'src')\n{code}", *arguments)


def product(clone: Path, precision: str) -> float:
    """GFLOP/s of TensorFlow's product of matrices, the most that a net can come near to."""
    return float(own(clone, PRODUCT, precision)[-1])


def held(clone: Path) -> float:
    """MiB at the peak of an epoch of 50,000 images beyond those of what the stage imports."""
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
        peaks.append(int(own(clone, code)[-1]) / (2**20 if sys.platform == "darwin" else 2**10))
    return peaks[1] - peaks[0]


if __name__ == "__main__":
    main()
