"""Compare the preset `record` with K. Jordan's airbench94_muon on the same images and cores.

Usage: python benchmarks/airbench.py --torch PYTHON --airbench FOLDER [--preset NAME] [--seeds N] IMAGES

PYTHON is the Python of an environment with torch and numpy, FOLDER a checkout of
github.com/KellerJordan/cifar10-airbench, IMAGES the images of CIFAR-10, as for `-S folder=`. For each seed,
torch_airbench.py trains, then the train stage with the preset, and evaluate opens the test split, once. The seconds of
airbench are those of its training alone; those of the preset are of the whole train stage with its start, validation,
checkpoints and export. It takes two hours on two cores; nothing else should run meanwhile. It works in a temporary
clone of the last commit and does not change the checkout.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import ROOT, describe_machine, run, run_and_read, set_params

from reprocnn.artifacts.files import read_json


def main() -> None:
    """Print a row per seed and side, then the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="images of CIFAR-10, a folder per class or an archive of it")
    parser.add_argument("--torch", required=True, metavar="PYTHON", help="a Python with torch and numpy")
    parser.add_argument("--airbench", required=True, type=Path, metavar="FOLDER", help="a checkout of cifar10-airbench")
    parser.add_argument("--preset", default="record", metavar="NAME", help="the preset (default: record)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="number of seeds (default: 3)")
    arguments = parser.parse_args()
    print(f"{describe_machine(arguments.seeds)}\n", flush=True)
    print("| what | test accuracy | with tta | seconds |\n|---|---|---|---|", flush=True)
    rows: dict[str, list[dict[str, float]]] = {"airbench94_muon": [], f"`{arguments.preset}`": []}
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
        run(clone, sys.executable, "-m", "reprocnn", "preset", arguments.preset)
        data = {"dataset": "folder", "folder": str(arguments.images.resolve())}
        set_params(clone, **data)
        run(clone, sys.executable, "stages/download.py")
        for seed in range(arguments.seeds):
            sides = train_airbench(clone, arguments, seed), train_preset(clone, data, seed)
            for (side, found), values in zip(rows.items(), sides, strict=True):
                found.append(values)
                print_row(f"{side}, seed {seed}", [values])
    for side, found in rows.items():
        print_row(f"{side}, n = {len(found)}", found)
    reference, own = (statistics.mean(values["seconds"] for values in found) for found in rows.values())
    print(f"seconds of {list(rows)[1]}, of airbench's: {own / reference:.2f} x")


def train_airbench(clone: Path, arguments: argparse.Namespace, seed: int) -> dict[str, float]:
    """Train airbench; return its test accuracies and the seconds of its training."""
    script = str(ROOT / "benchmarks/torch_airbench.py")
    command = [arguments.torch, script, str(arguments.airbench.resolve()), str(clone / "data/raw"), str(seed)]
    values: dict[str, float] = json.loads(run_and_read(clone, *command)[-1])
    return values


def train_preset(clone: Path, data: dict[str, Any], seed: int) -> dict[str, float]:
    """Train with the preset; return its test accuracies and the seconds of the train stage."""
    set_params(clone, **data, seed=seed)
    run(clone, sys.executable, "stages/preprocess.py")
    seconds = run(clone, sys.executable, "stages/train.py")
    run(clone, sys.executable, "stages/evaluate.py")
    metrics = read_json(clone / "reports/metrics.json")
    return {"accuracy": metrics["accuracy"], "tta_accuracy": metrics["tta_accuracy"], "seconds": seconds}


def print_row(what: str, runs: list[dict[str, float]]) -> None:
    """Print the mean of each value, with the standard deviation of several runs and the range of the seconds."""
    cells = []
    for key in ("accuracy", "tta_accuracy"):
        values = [100 * run[key] for run in runs]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.2f}{spread} %")
    seconds = [run["seconds"] for run in runs]
    spread = f" ({min(seconds):.0f} to {max(seconds):.0f})" if len(seconds) > 1 else ""
    print(f"| {what} | {' | '.join(cells)} | {statistics.mean(seconds):.0f}{spread} |", flush=True)


if __name__ == "__main__":
    main()
