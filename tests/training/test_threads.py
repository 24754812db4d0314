"""Effect of cores, threads and instruction sets on the saved bytes.

Each training runs in its own process, because TensorFlow reads these settings once.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from checkouts import ROOT
from reprocnn.run.identity import environment

pytestmark = pytest.mark.slow

TRAIN = """
import os, sys, tempfile
from pathlib import Path
import numpy as np
cores, threads, portable, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True", Path(sys.argv[4])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
from reprocnn import backend
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import write_model
from reprocnn.artifacts.split import Split
from reprocnn.models.build import build
from reprocnn.params import FitParams, ModelParams
from reprocnn.training.fit import fit
backend.prepare(0, threads, portable)
random = np.random.default_rng(0)
images = random.random((64, 16, 16, 3), dtype=np.float32)
data = Split(images, np.eye(10, dtype=np.float32)[random.integers(0, 10, 64)])
model = build(ModelParams(model="deep_cnn"), (16, 16, 3), 10, 0)
fit(model, data, data, FitParams(epochs=1))
write_model(folder / "model.keras", model)
print("@" + md5(folder / "model.keras"))
"""


def _trained(folder: Path, cores: int, threads: int, portable: bool = False, **variables: str) -> str:
    command = [sys.executable, "-c", TRAIN, str(cores), str(threads), str(portable), str(folder)]
    own = os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=True)
    return done.stdout if "ONEDNN_VERBOSE" in variables else done.stdout.split("@")[1]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its cores")
def test_with_fixed_threads_the_number_of_cores_does_not_change_the_result(tmp_path: Path) -> None:
    assert _trained(tmp_path, cores=1, threads=2) == _trained(tmp_path, cores=2, threads=2)


def test_environment_variables_do_not_change_the_result(tmp_path: Path) -> None:
    shell = {"TF_NUM_INTRAOP_THREADS": "1", "ONEDNN_MAX_CPU_ISA": "SSE41", "TF_ENABLE_ONEDNN_OPTS": "0"}
    assert _trained(tmp_path, cores=2, threads=0, **shell) == _trained(tmp_path, cores=2, threads=0)


@pytest.mark.skipif("avx512f" not in environment([], 0)["instructions"], reason="this CPU has at most AVX2")
@pytest.mark.parametrize("portable", [True, False])
def test_portable_limits_onednn_to_avx2(tmp_path: Path, portable: bool) -> None:
    log = _trained(tmp_path, cores=2, threads=2, portable=portable, ONEDNN_VERBOSE="1")
    assert ("isa:Intel AVX2\n" in log) is portable
    assert ("avx512" in log) is not portable
