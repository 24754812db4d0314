"""Measure the speed of the pipeline: all stages, preprocess, and the overhead of the train stage.

Usage: python benchmarks/pipeline.py [--rounds N]   (some 10 minutes; nothing else should run)

Each row is measured in one run of this script, the two sides of a ratio in turn. It works in a temporary clone of the
last commit and leaves the checkout as it was.
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
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default: 3)")
    rounds = parser.parse_args().rounds
    header(rounds)
    with tempfile.TemporaryDirectory() as folder:
        cold, noop = zip(*(whole_pipeline(Path(folder) / f"clone{i}") for i in range(rounds)), strict=True)
        row("`dvc repro`, default params, cold cache", cold, "s")
        row("`dvc repro` with nothing to do", noop, "s")
        seconds, memory = zip(*(preprocess(Path(folder) / "clone0") for _ in range(rounds)), strict=True)
        row("preprocess of 60,000 32x32x3 images", seconds, "s")
        row("its peak memory", memory, "MiB")
        stage, bare = zip(*(train(Path(folder) / "clone0") for _ in range(rounds)), strict=True)
        row("train stage, deep_cnn, 10,000 32x32x3 images, 4 epochs, from start to end", stage, "s")
        row("the same net and `fit` in a plain script", bare, "s")
        row("the stage's seconds over the script's", [s / b for s, b in zip(stage, bare, strict=True)], "x")
        row(
            "a checkpoint of deep_cnn against its epoch of 50,000 images",
            [checkpoint(Path(folder)) for _ in range(rounds)],
            "%",
        )


def machine(rounds: int) -> str:
    """The machine, the versions, and the number of measurements."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "dvc", "mlflow"))
    return f"{cpu_name()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}; n = {rounds}"


def header(rounds: int) -> None:
    """Print the machine and the head of a table."""
    print(f"{machine(rounds)}\n")
    print("| what | median | min to max |\n|---|---|---|", flush=True)


def row(what: str, values: "tuple[float, ...] | list[float]", unit: str) -> None:
    """Print a row."""
    low, middle, high = (f"{v:.2f}" for v in (min(values), statistics.median(values), max(values)))
    print(f"| {what} | {middle} {unit} | {low} to {high} |", flush=True)


def run(folder: Path, *command: str) -> float:
    """Run a command with this Python's packages first on the path; return the seconds it took."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - start


def printed(folder: Path, *command: str) -> list[str]:
    """The lines that a command prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.splitlines()


def whole_pipeline(clone: Path) -> tuple[float, float]:
    """Seconds of the first `dvc repro` of a clone, and of the second."""
    run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
    return run(clone, "dvc", "repro"), run(clone, "dvc", "repro")


def preprocess(clone: Path) -> tuple[float, float]:
    """Seconds and peak memory in MiB of the preprocess stage on 60,000 images."""
    write_raw(clone, 60_000)
    seconds = run(clone, sys.executable, "stages/preprocess.py")
    code = (
        "import json, resource, runpy, sys; sys.path.insert(0, 'stages'); "
        "runpy.run_path('stages/preprocess.py', run_name='__main__'); "
        "print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"
    )
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return seconds, json.loads(printed(clone, sys.executable, "-c", code)[-1]) / unit


def train(clone: Path) -> tuple[float, float]:
    """Seconds of the train stage, and of the plain script on the same arrays."""
    write_raw(clone, 11_111)
    run(clone, sys.executable, "stages/preprocess.py")
    set_params(clone, epochs=4)
    os.environ["REPROCNN_FRESH"] = "1"  # evaluate, which removes the checkpoint, is not run here
    stage = run(clone, sys.executable, "stages/train.py")
    bare = run(clone, sys.executable, str(ROOT / "benchmarks" / "bare_fit.py"), "data/processed", "4")
    run(clone, "git", "checkout", "params.yaml")
    return stage, bare


def checkpoint(folder: Path) -> float:
    """The seconds of a checkpoint in percent of those of an epoch."""
    cost = json.loads(printed(folder, sys.executable, str(ROOT / "benchmarks" / "checkpoint.py"), str(folder))[-1])
    return 100 * cost["save"] / cost["epoch"]


def set_params(clone: Path, **values: Any) -> None:
    """Write values into the clone's params.yaml."""
    yaml = YAML()
    params = yaml.load(clone / "params.yaml")
    params.update(values)
    yaml.dump(params, clone / "params.yaml")


def write_raw(clone: Path, n: int) -> None:
    """Put n random images in the place of the raw data."""
    random = np.random.default_rng(0)
    names, shape = tuple(map(str, range(10))), (32, 32, 3)
    images = random.integers(0, 256, (n, *shape), dtype=np.uint8)
    with split_writer(clone / RAW_TRAIN, random.integers(0, 10, n), shape, np.uint8) as writer:
        writer.append(images)
    write_dataset(clone / DATASET, DatasetCard("random", names, shape, n_train=n, n_test=0))


if __name__ == "__main__":
    main()
