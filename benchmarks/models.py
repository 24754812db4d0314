"""Measure the training speed of each model, relative to a matrix product on the same machine.

Usage: python benchmarks/models.py [--rounds N]

It takes about 40 minutes on two cores; nothing else should run meanwhile. Each model trains in the train stage on the
same 4,096 random images of 32x32x3 in batches of 128. Its speed is that of the faster one of the 2 epochs after the
first. A training step has three times the operations of a forward pass, because the backward pass has two matrix
products for each one. The matrix product is TensorFlow's of 2048x2048 matrices, in the same round. It works in a
temporary clone of the last commit and does not change the checkout.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from pipeline import describe_machine

from reprocnn.artifacts.files import read_json
from reprocnn.catalog import MODELS
from training import measure_product, measure_stage, prepare

IMAGES, BATCH = 4_096, 128
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="number of measurements of each model (default: 3)"
    )
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        prepare(clone, IMAGES)
        measured = [measure(clone, f"round {number + 1}") for number in range(rounds)]
    print(describe_machine(rounds))
    print_table(measured)


def print_table(measured: list[dict[tuple[str, str], float]]) -> None:
    """Print a row per model, and one for the matrix product."""
    kinds = (", images/s", ": min to max", ", of the matrix product")
    columns = [f"{precision}{kind}" for precision in PRECISIONS for kind in kinds]
    print(f"\n| model | MFLOPs per image | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    for model in MODELS:
        mflops, both = measured[0][model, "mflops"], []
        for precision in PRECISIONS:
            shares = [made[model, precision] * mflops / 1e3 / made["product", precision] for made in measured]
            both.append(f"{format_cells(measured, model, precision)} | {100 * median(shares):.0f} %")
        print(f"| `{model}` | {mflops:.1f} | {' | '.join(both)} |")
    products = [format_cells(measured, "product", precision) for precision in PRECISIONS]
    print(f"| the matrix product, GFLOP/s | | {' | | '.join(products)} | |")


def format_cells(measured: list[dict[tuple[str, str], float]], what: str, precision: str) -> str:
    """Format the median, minimum and maximum of a model or of the product as two cells."""
    values = [made[what, precision] for made in measured]
    return f"{median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f}"


def measure(clone: Path, name: str) -> dict[tuple[str, str], float]:
    """Measure one round.

    Returns:
        (name, precision) -> images per second of a model, or GFLOP/s of the `product`; (name, "mflops") -> MFLOPs of a
        training step per image.
    """
    made: dict[tuple[str, str], float] = {}
    for precision in PRECISIONS:
        made["product", precision] = measure_product(clone, precision)
        for model in MODELS:
            made[model, precision] = measure_stage(clone, IMAGES, model=model, precision=precision, batch_size=BATCH)
            made[model, "mflops"] = 3 * read_json(clone / "reports/training.json")["mflops"]
            print(f"{name}: {model}, {precision}: {made[model, precision]:.0f} images/s", file=sys.stderr, flush=True)
    return made


if __name__ == "__main__":
    main()
