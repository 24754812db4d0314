"""Run the pipeline on many images: images per second, and memory, of each stage; and of training without streaming.

Usage: python benchmarks/large.py [--images N] [--rounds N] [--folder FOLDER]

It makes 300,000 JPEGs of 64x64 pixels, each with the colours of its class under noise, and needs 30 GB in FOLDER and
16 GB of memory. It takes about an hour on two cores; nothing else should run meanwhile. It works in a temporary clone
of the last commit and does not change the checkout.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg
from pipeline import ROOT, describe_machine, run, run_and_read, set_params
from reading import PeakMemory

SIDE, CLASSES, PATCHES = 64, 10, 8
STAGES = ("download", "preprocess", "train", "evaluate", "plot")

FIT_CODE = """
import sys, time
from pathlib import Path
import numpy as np
from reprocnn import backend
from reprocnn.artifacts.split import Split, read_split
from reprocnn.models.build import build
from reprocnn.params import TrainParams, load_params
from reprocnn.training.fit import fit
params = load_params(TrainParams)
train, held_out = (read_split(Path("data/processed", name)) for name in ("train", "validation"))
with open("data/processed/train/images.npy", "rb") as file:  # into the page cache
    while file.read(2**24): pass
if sys.argv[1] == "in memory":
    train = Split(np.array(train.images), train.labels)
backend.prepare(params.seed, params.threads, params.portable)
model = build(params, train.images.shape[1:], train.labels.shape[1], params.seed)
start = time.monotonic()
fit(model, train, Split(held_out.images[:64], held_out.labels[:64]), params)
print(len(train.images) / (time.monotonic() - start))
"""


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300_000, metavar="N", help="how many to make (default: 300000)")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="how often each way to train is measured (default: 3)"
    )
    parser.add_argument("--folder", metavar="FOLDER", help="where to work (default: the folder of temporary files)")
    arguments = parser.parse_args()
    print(describe_machine(1))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        clone = prepare(Path(folder), arguments.images)
        print("\n| stage | seconds | images/s | anonymous memory, most |\n|---|---|---|---|")
        for stage in STAGES:
            seconds, memory = measure(clone, "dvc", "repro", "--single-item", stage)
            rate = arguments.images / seconds
            print(f"| {stage} | {seconds:.0f} | {rate:,.0f} | {memory / 2**20:,.0f} MiB |", flush=True)
        print(f"\n`dvc repro` with nothing to do: {run(clone, 'dvc', 'repro'):.2f} s", flush=True)
        compare_training(clone, arguments.rounds)


def prepare(folder: Path, n: int) -> Path:
    """Make the images, a clone, and a manifest; return the clone."""
    start = time.monotonic()
    make_images(folder / "pictures", n)
    print(f"\nmade {n:,} images in {time.monotonic() - start:.0f} s", flush=True)
    clone, manifest = folder / "clone", folder / "pictures.manifest.csv"
    run(ROOT, "git", "clone", "-q", str(ROOT), str(clone))
    seconds = run(clone, sys.executable, "-m", "reprocnn", "manifest", str(folder / "pictures"))
    print(f"manifest: {seconds:.0f} s", flush=True)
    set_params(
        clone, dataset="folder", folder=str(manifest), image_size=SIDE, model="simple_cnn", epochs=1, robustness=False
    )
    return clone


def make_images(folder: Path, n: int) -> None:
    """Make JPEGs in class folders. A class has 8x8 patches of colour; an image has them with noise of two sizes."""
    random = np.random.default_rng(0)
    colours = random.integers(64, 192, (CLASSES, PATCHES, PATCHES, 3))
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
    for number in range(n):
        label = number % CLASSES
        coarse = colours[label] + random.normal(0, 60, (PATCHES, PATCHES, 3))
        fine = coarse.repeat(4, axis=0).repeat(4, axis=1) + random.normal(0, 12, (4 * PATCHES, 4 * PATCHES, 1))
        pixels = np.ascontiguousarray(fine.clip(0, 255).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1))
        (folder / str(label) / f"{number:06}.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, quality=85))


def measure(clone: Path, *command: str) -> tuple[float, int]:
    """Run a command; return its seconds, and the largest sum of anonymous memory of its processes in bytes."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.monotonic()
    with subprocess.Popen(command, cwd=clone, env=os.environ | {"PATH": path}, stdout=sys.stderr) as process:
        peak = PeakMemory(process.pid)
        process.wait()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    return time.monotonic() - start, peak.stop()


def compare_training(clone: Path, rounds: int) -> None:
    """Train on the memory-mapped images and on a copy in memory, in turn; print images per second and the ratio."""
    rates: dict[str, list[float]] = {"streamed": [], "in memory": []}
    for _ in range(rounds):
        for way, values in rates.items():
            values.append(float(run_and_read(clone, sys.executable, "-c", FIT_CODE, way)[-1]))
    print("\n| training | images/s | min to max |\n|---|---|---|")
    for way, values in rates.items():
        print(f"| {way} | {statistics.median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f} |")
    ratios = [streamed / held for streamed, held in zip(*rates.values(), strict=True)]
    print(f"| ratio | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |")


if __name__ == "__main__":
    main()
