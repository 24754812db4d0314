"""Measures how close training each model comes to what the chip can do.

Usage: python benchmarks/models.py [--rounds N]   (some 40 minutes; nothing else should run)

The train stage, with batches of 128 of the same 4,096 random images of 32x32x3. A rate is that of the fastest of 2
epochs after the first. Operations are three times those of the image forwards: backwards there are two products for
each one. The chip's are those of a product of 2048x2048 matrices, in the same round. It works in a temporary clone of
the last commit and leaves the checkout as it was.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import get_args

from pipeline import machine

from reprocnn.files import read_json
from reprocnn.params import ModelParams
from training import prepare, product, stage

IMAGES, BATCH = 4_096, 128
MODELS: tuple[str, ...] = get_args(ModelParams.model_fields["model"].annotation)
PRECISIONS = ("float32", "bfloat16")
COLUMNS = ("model", "MFLOPs an image", "images/s", "min to max", "GFLOP/s", "of the chip's")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (default: 3)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        prepare(clone, IMAGES)
        measured = [measure(clone, f"round {number + 1}") for number in range(rounds)]
    print(machine(rounds))
    for precision in PRECISIONS:
        chip = [r["chip", precision] for r in measured]
        print(f"\n{precision}, of the chip's {median(chip):.0f} GFLOP/s ({min(chip):.0f} to {max(chip):.0f})\n")
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for model in MODELS:
            print(line(model, [r[model, precision] for r in measured], chip, measured[0][model, "mflops"]))


def measure(clone: Path, name: str) -> dict[tuple[str, str], float]:
    """One round: images per second of each model and precision, their MFLOPs, and the chip's GFLOP/s."""
    made: dict[tuple[str, str], float] = {}
    for precision in PRECISIONS:
        made["chip", precision] = product(clone, precision)
        for model in MODELS:
            made[model, precision] = stage(clone, IMAGES, model=model, precision=precision, batch_size=BATCH)
            made[model, "mflops"] = 3 * read_json(clone / "reports/training.json")["mflops"]
            print(f"{name}: {model}, {precision}: {made[model, precision]:.0f} images/s", file=sys.stderr, flush=True)
    return made


def line(model: str, rates: list[float], chip: list[float], mflops: float) -> str:
    """A row of the table."""
    reached = [rate * mflops / 1e3 for rate in rates]
    part = 100 * median(r / c for r, c in zip(reached, chip, strict=True))
    low_to_high = f"{min(rates):.0f} to {max(rates):.0f}"
    return f"| {model} | {mflops:.1f} | {median(rates):.0f} | {low_to_high} | {median(reached):.1f} | {part:.0f} % |"


if __name__ == "__main__":
    main()
