"""Measure what a trial of `python -m reprocnn sweep` costs beside the same `dvc exp run` in an existing clone.

Usage: python benchmarks/sweep.py [--rounds N]

Each round runs in turn an experiment and a sweep of one trial, on this machine, both with a seed that is new. It works
in a temporary clone of the last commit and does not change the checkout. It needs the extra `sweep`, and takes about 4
minutes on two cores; nothing else should run meanwhile.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from pipeline import ROOT, print_header, print_row, run
from ruamel.yaml import YAML

PARAMS = {"model": "mlp", "epochs": 1, "threads": 1, "robustness": False}


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="number of measurements of each row (default: 5)"
    )
    rounds = parser.parse_args().rounds
    print_header(rounds)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        run(clone.parent, "git", "clone", "-q", str(ROOT), str(clone))
        time_experiment(clone, 1)  # reads the data; the cache has them from then on
        run(clone, "git", "checkout", "--quiet", ".")
        alone, trials, starts = [], [], []
        for number in range(rounds):
            alone.append(time_experiment(clone, 1001 + number))
            run(clone, "git", "checkout", "--quiet", ".")
            start, trial = time_sweep(clone, number + 1)
            starts.append(start)
            trials.append(trial)
    print_row("`dvc exp run` in an existing clone", alone, "s")
    print_row("the same as a trial of a sweep", trials, "s")
    print_row("start of the sweep, until its first trial starts", starts, "s")
    print(f"\nmedian of the differences: {median(t - a for t, a in zip(trials, alone, strict=True)):.1f} s per trial")


def time_experiment(clone: Path, seed: int) -> float:
    """Measure the seconds of an experiment."""
    values = [
        word for key, value in (PARAMS | {"seed": seed}).items() for word in ("-S", f"{key}={str(value).lower()}")
    ]
    return run(clone, "dvc", "exp", "run", "-n", f"alone-{seed}", *values)


def time_sweep(clone: Path, trials: int) -> tuple[float, float]:
    """Measure one more trial of a sweep: the seconds until it starts, and from there until its results are recorded."""
    file = clone.parent / "measured.yaml"
    space = {"seed": {"low": 2001, "high": 3000}}
    YAML().dump({"sampler": "random", "trials": trials, "cpus": 1, "params": PARAMS, "space": space}, file)
    command = [sys.executable, "-m", "reprocnn", "sweep", str(file)]
    begin = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(clone / "src")}
    with subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        at = {
            word: time.monotonic() for line in process.stdout for word in ("  starts  ", " complete, ") if word in line
        }
    if process.returncode:
        sys.exit("the sweep failed")
    return at["  starts  "] - begin, at[" complete, "] - at["  starts  "]


if __name__ == "__main__":
    main()
