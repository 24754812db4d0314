"""Measure the training speed of each model, relative to a matrix product on the same machine.

Usage: python benchmarks/models.py [--rounds N]   (some 40 minutes; nothing else should run)

The train stage, with batches of 128 of the same 4,096 random images of 32x32x3. A rate is that of the fastest of 2
epochs after the first. Operations are three times those of the image forwards: backwards there are two products for
each one. The product is TensorFlow's of 2048x2048 matrices, in the same round. It works in a temporary clone of
the last commit and leaves the checkout as it was.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from pipeline import machine

from reprocnn.artifacts.files import read_json
from reprocnn.catalog import MODELS
from training import prepare, product, stage

IMAGES, BATCH = 4_096, 128
PRECISIONS = ("float32", "bfloat16")


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
    table(measured)


def table(measured: list[dict[tuple[str, str], float]]) -> None:
    """Print a row per model, and one for the product."""
    kinds = (", images/s", ": min to max", ", of the product")
    columns = [f"{precision}{kind}" for precision in PRECISIONS for kind in kinds]
    print(f"\n| model | MFLOPs an image | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    for model in MODELS:
        mflops, both = measured[0][model, "mflops"], []
        for precision in PRECISIONS:
            shares = [made[model, precision] * mflops / 1e3 / made["product", precision] for made in measured]
            both.append(f"{cells(measured, model, precision)} | {100 * median(shares):.0f} %")
        print(f"| `{model}` | {mflops:.1f} | {' | '.join(both)} |")
    products = [cells(measured, "product", precision) for precision in PRECISIONS]
    print(f"| the product, GFLOP/s | | {' | | '.join(products)} | |")


def cells(measured: list[dict[tuple[str, str], float]], what: str, precision: str) -> str:
    """Median and spread."""
    values = [made[what, precision] for made in measured]
    return f"{median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f}"


def measure(clone: Path, name: str) -> dict[tuple[str, str], float]:
    """One round: images per second of each model and precision, their MFLOPs, and the product's GFLOP/s."""
    made: dict[tuple[str, str], float] = {}
    for precision in PRECISIONS:
        made["product", precision] = product(clone, precision)
        for model in MODELS:
            made[model, precision] = stage(clone, IMAGES, model=model, precision=precision, batch_size=BATCH)
            made[model, "mflops"] = 3 * read_json(clone / "reports/training.json")["mflops"]
            print(f"{name}: {model}, {precision}: {made[model, precision]:.0f} images/s", file=sys.stderr, flush=True)
    return made


if __name__ == "__main__":
    main()
