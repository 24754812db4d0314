"""Measure how the instruction set that oneDNN uses changes results, and what AVX2 costs.

Usage: python benchmarks/instructions.py [--seeds N]

It takes about 10 minutes on two cores and needs a CPU with AVX-512; nothing else should run meanwhile. It works in a
temporary clone of the last commit and does not change the checkout.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from reprocnn.artifacts.files import md5
from reprocnn.ledger.revisions import lock_of

ROOT = Path(__file__).resolve().parents[1]
SETS = ("", "AVX512_CORE", "AVX2", "SSE41")
"""Values of ONEDNN_MAX_CPU_ISA; empty: the CPU's own instruction set."""
STAGES_CODE = """
import os, runpy, sys
sys.path.insert(0, "stages")
import _stage
from reprocnn import backend
os.environ["ONEDNN_MAX_CPU_ISA"] = sys.argv[1]  # read at the first operation
for stage in ("train", "evaluate"):
    runpy.run_path(f"stages/{stage}.py", run_name="__main__")
"""
EPOCHS_CODE = """
import os, sys
import numpy as np
from reprocnn import backend
from reprocnn.models.build import build
from reprocnn.params import ModelParams
os.environ["ONEDNN_MAX_CPU_ISA"] = sys.argv[1]
backend.prepare(0, threads=2)
random = np.random.default_rng(0)
images = random.random((2000, 32, 32, 3), dtype=np.float32)
labels = np.eye(10, dtype=np.float32)[random.integers(0, 10, 2000)]
model = build(ModelParams(), (32, 32, 3), 10, 0)
model.compile("adam", "categorical_crossentropy", jit_compile=False)
model.fit(images, labels, epochs=1, verbose=0)
before = os.times()
model.fit(images, labels, epochs=2, verbose=0)
print(os.times().user - before.user)
"""


def main() -> None:
    """Print the table of results per instruction set, then the cost of AVX2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="number of seeds, and of cost measurements (default: 3)"
    )
    seeds = range(parser.parse_args().seeds)
    print(f"| instructions | {' | '.join(f'seed {seed}' for seed in seeds)} | outputs that differ |")
    print(f"|---|{'---|' * len(seeds)}---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        for stage in ("download", "preprocess"):
            subprocess.run([sys.executable, f"stages/{stage}.py"], cwd=clone, check=True, capture_output=True)
        own: list[dict[str, str]] = []
        for instructions in SETS:
            correct, hashes = zip(*(train_and_evaluate(clone, instructions, seed) for seed in seeds), strict=True)
            own = own or list(hashes)
            differ = {
                name for mine, other in zip(own, hashes, strict=True) for name in mine if mine[name] != other[name]
            }
            print(
                f"| {instructions or 'own'} | {' | '.join(map(str, correct))} | {len(differ)} of {len(own[0])} |",
                flush=True,
            )
    ratios = [cpu_seconds("AVX2") / cpu_seconds("") for _ in seeds]
    print(
        "CPU time of deep_cnn on 32x32x3 images with AVX2, relative to the CPU's own instruction set:",
        ", ".join(f"{r:.2f}" for r in ratios),
    )


def train_and_evaluate(clone: Path, instructions: str, seed: int) -> tuple[int, dict[str, str]]:
    """Run both stages on the default data; return the number of correct answers and the md5 of each output file."""
    params = clone / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    params.write_text(text.replace("\nseed: 0 ", f"\nseed: {seed} ").replace("\nthreads: 0 ", "\nthreads: 2 "))
    own = os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    subprocess.run(
        [sys.executable, "-c", STAGES_CODE, instructions], cwd=clone, check=True, capture_output=True, env=own
    )
    metrics = json.loads((clone / "reports/metrics.json").read_text())
    stages = lock_of("", ROOT)
    outs = [out["path"] for stage in ("train", "evaluate") for out in stages[stage]["outs"]]
    files = [clone / out for out in outs if (clone / out).is_file()]
    return round(metrics["accuracy"] * metrics["n"]), {file.name: md5(file) for file in files}


def cpu_seconds(instructions: str) -> float:
    """Measure the CPU seconds of two epochs of deep_cnn with an instruction set."""
    own = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", EPOCHS_CODE, instructions]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=own)
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
