"""Measure the speed of the pipeline: all stages, preprocess, and the overhead of the train stage.

Usage: python benchmarks/pipeline.py [--rounds N]

It takes about 10 minutes on two cores; nothing else should run meanwhile. The two sides of a ratio are measured in
turn. It works in a temporary clone of the last commit and does not change the checkout.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from reprocnn.artifacts.dataset import DATASET, DatasetCard, write_dataset
from reprocnn.artifacts.split import RAW_TRAIN, split_writer
from reprocnn.run.identity import cpu_name

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="number of measurements of each row (default: 3)"
    )
    rounds = parser.parse_args().rounds
    print_header(rounds)
    with tempfile.TemporaryDirectory() as folder:
        cold, noop = zip(*(time_pipeline(Path(folder) / f"clone{i}") for i in range(rounds)), strict=True)
        print_row("`dvc repro`, default params, cold cache", cold, "s")
        print_row("`dvc repro` with nothing to do", noop, "s")
        seconds, memory = zip(*(measure_preprocess(Path(folder) / "clone0") for _ in range(rounds)), strict=True)
        print_row("preprocess of 60,000 32x32x3 images", seconds, "s")
        print_row("its peak memory", memory, "MiB")
        stage, bare = zip(*(time_training(Path(folder) / "clone0") for _ in range(rounds)), strict=True)
        print_row("train stage, deep_cnn, 10,000 32x32x3 images, 4 epochs, from start to end", stage, "s")
        print_row("the same net and `fit` in a plain script", bare, "s")
        print_row("time of the stage relative to the script", [s / b for s, b in zip(stage, bare, strict=True)], "x")
        print_row(
            "a checkpoint of deep_cnn relative to its epoch of 50,000 images",
            [measure_checkpoint(Path(folder)) for _ in range(rounds)],
            "%",
        )


def describe_machine(rounds: int) -> str:
    """Return the CPU, the versions, and the number of measurements in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "dvc", "mlflow"))
    return f"{cpu_name()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}; n = {rounds}"


def print_header(rounds: int) -> None:
    """Print the machine and the header of the table."""
    print(f"{describe_machine(rounds)}\n")
    print("| what | median | min to max |\n|---|---|---|", flush=True)


def print_row(what: str, values: "tuple[float, ...] | list[float]", unit: str) -> None:
    """Print a row: what was measured, the median, the minimum and the maximum."""
    low, middle, high = (f"{v:.2f}" for v in (min(values), statistics.median(values), max(values)))
    print(f"| {what} | {middle} {unit} | {low} to {high} |", flush=True)


def run(folder: Path, *command: str) -> float:
    """Run a command, with the folder of this Python first on PATH; return the seconds it took."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - start


def run_and_read(folder: Path, *command: str) -> list[str]:
    """Run a command; return the lines that it printed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()


def time_pipeline(clone: Path) -> tuple[float, float]:
    """Measure the seconds of the first `dvc repro` in a new clone, and of the second."""
    run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
    return run(clone, "dvc", "repro"), run(clone, "dvc", "repro")


def measure_preprocess(clone: Path) -> tuple[float, float]:
    """Measure the seconds and the peak memory in MiB of the preprocess stage on 60,000 images."""
    write_raw(clone, 60_000)
    seconds = run(clone, sys.executable, "stages/preprocess.py")
    code = (
        "import json, resource, runpy, sys; sys.path.insert(0, 'stages'); "
        "runpy.run_path('stages/preprocess.py', run_name='__main__'); "
        "print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    )
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return seconds, json.loads(run_and_read(clone, sys.executable, "-c", code)[-1]) / unit


def time_training(clone: Path) -> tuple[float, float]:
    """Measure the seconds of the train stage, and of the plain script on the same arrays."""
    write_raw(clone, 11_111)
    run(clone, sys.executable, "stages/preprocess.py")
    set_params(clone, epochs=4)
    os.environ["REPROCNN_FRESH"] = "1"  # ignore the last round's checkpoint, which evaluate would remove
    stage = run(clone, sys.executable, "stages/train.py")
    bare = run(clone, sys.executable, str(ROOT / "benchmarks" / "bare_fit.py"), "data/processed", "4")
    run(clone, "git", "checkout", "params.yaml")
    return stage, bare


def measure_checkpoint(folder: Path) -> float:
    """Measure the time of a checkpoint in percent of the time of an epoch."""
    cost = json.loads(run_and_read(folder, sys.executable, str(ROOT / "benchmarks" / "checkpoint.py"), str(folder))[-1])
    return 100 * cost["save"] / cost["epoch"]


def set_params(clone: Path, **values: Any) -> None:
    """Set values in the params.yaml of a clone."""
    yaml = YAML()
    params = yaml.load(clone / "params.yaml")
    params.update(values)
    yaml.dump(params, clone / "params.yaml")


def write_raw(clone: Path, n: int) -> None:
    """Write n random images of 10 classes as the raw data of a clone."""
    random = np.random.default_rng(0)
    names, shape = tuple(map(str, range(10))), (32, 32, 3)
    images = random.integers(0, 256, (n, *shape), dtype=np.uint8)
    with split_writer(clone / RAW_TRAIN, random.integers(0, 10, n), shape, np.uint8) as writer:
        writer.append(images)
    write_dataset(clone / DATASET, DatasetCard("random", names, shape, n_train=n, n_test=0))


if __name__ == "__main__":
    main()
