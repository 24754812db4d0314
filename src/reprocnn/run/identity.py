"""Identify what a training depends on: params, data, code, versions, machine."""

import hashlib
import json
import os
import platform
import re
import socket
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import psutil

from reprocnn.artifacts.files import content_md5, read_json, write_json
from reprocnn.params import read_params

ENVIRONMENT = Path("reports/environment.json")

_PACKAGES = (
    *("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pillow", "pandas", "matplotlib"),
    *("onnx", "onnxruntime", "tf2onnx"),
    *("dvc", "mlflow"),
)
_CLOCK_TOLERANCE = 60.0
"""Seconds by which two readings of a process's start time may differ."""
_INSTRUCTIONS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve")


MODEL_MD5 = "model.md5"
"""Key of reports/environment.json: the md5 of the model that the file describes."""


def key(**parts: Any) -> str:
    """Return the key of a training: a hash of everything that determines its result.

    Args:
        **parts: params, hashes of data and code, versions and machine, as values that JSON can represent.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def write_environment(model_md5: str, machine: dict[str, str]) -> None:
    """Write the machine and the versions that made a model.

    The file is not a DVC output, because outputs must not contain versions or machine. Git tracks it.
    """
    write_json(ENVIRONMENT, {MODEL_MD5: model_md5} | machine)


def read_environment(folder: Path, model_md5: str) -> dict[str, str]:
    """Return the machine and the versions that made a model; empty if unknown.

    Args:
        folder: a checkout or a copy of its reports.
        model_md5: the md5 of the model; a file that was written for another model is ignored.
    """
    file = folder / ENVIRONMENT
    found: dict[str, str] = read_json(file) if file.exists() else {}
    return found if found.pop(MODEL_MD5, None) == model_md5 else {}


def this_process() -> str:
    """Identify this process by host, process ID and start time."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def is_gone(process: str) -> bool:
    """Return whether a process, as `this_process` identifies it, ran on this host and has ended."""
    host, number, start = process.split()
    if host != socket.gethostname():
        return False
    try:
        # Start times have a tolerance, because the system clock may have been adjusted since.
        return abs(psutil.Process(int(number)).create_time() - float(start)) > _CLOCK_TOLERANCE
    except psutil.NoSuchProcess:
        return True


def environment(gpus: list[str], threads: int) -> dict[str, str]:
    """Describe the machine and the versions. Two runs on the same machine give the same result.

    Args:
        gpus: the names of the GPUs.
        threads: threads per operation; 0: one per core.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {
        "cpu": cpu_name(),
        "instructions": _instructions(),
        "threads": str(threads or cores),
        "gpu": ", ".join(gpus) or "none",
        "platform": f"{platform.system()} {platform.machine()}",
        "version.python": platform.python_version(),
        **{f"version.{name}": version(name) for name in _PACKAGES},
    }


def cpu_name() -> str:
    """Return the name of the processor."""
    with suppress(OSError):
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _instructions() -> str:
    """List the instruction sets of the processor that change the order in which sums are computed."""
    with suppress(OSError):
        if found := re.search(r"(?:flags|Features)\s*: (.+)", Path("/proc/cpuinfo").read_text()):
            return " ".join(name for name in _INSTRUCTIONS if name in found[1].split())
    return "unknown"


def stage_hashes(stage: str) -> dict[str, str]:
    """Return the md5 of each dependency of a stage in dvc.yaml, path -> md5, as in dvc.lock."""
    params, deps = read_params(), read_params(Path("dvc.yaml"))["stages"][stage]["deps"]
    names = [Template(name).substitute(params) for name in deps]
    return {name: content_md5(Path(name)) for name in names}
