"""Check the machine: Python and its packages, the processor, the GPU."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from reprocnn.commands.doctor.findings import Finding
from reprocnn.errors import UserError
from reprocnn.params import MachineParams, load_params
from reprocnn.run.identity import environment
from reprocnn.run.state import repository

_SOURCE = Path(__file__).resolve().parents[3]
"""The folder `src` whose code is running."""
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
_GPU_DEVICES = Path("/proc/driver/nvidia/gpus")
_ACTIVATE = "source .venv/bin/activate"


def check_python() -> Iterator[Finding]:
    """Check that the stages use this Python, and that it has this checkout's code and the packages of uv.lock."""
    own, found = Path(".venv/bin/python"), shutil.which("python")
    if (repository() / "src").resolve() != _SOURCE:
        elsewhere = own.exists() and Path(sys.prefix).resolve() != Path(".venv").resolve()
        fix = _ACTIVATE if elsewhere else f"rm -rf .venv && make setup && {_ACTIVATE}"
        yield Finding("wrong", "python", f"`python -m reprocnn` runs the code in {_SOURCE}, not in this checkout", fix)
    elif not found or Path(found).parent != Path(sys.executable).parent:
        text = f"the `python` of the stages is {found or 'not found'}, but this is {sys.executable}"
        yield Finding("wrong", "python", text, _ACTIVATE)
    elif differ := list(_differences()):
        # Without `rm`, `make setup` does nothing unless uv.lock is newer than .venv/ready.
        text = f"packages differ from uv.lock: {', '.join(differ)}"
        yield Finding("wrong", "python", text, "rm -f .venv/ready* && make setup")
    else:
        yield Finding("ok", "python", f"{sys.version.split()[0]} in {sys.prefix}, packages as in uv.lock")


def _differences() -> Iterator[str]:
    """Yield the direct dependencies whose version differs from uv.lock."""
    with Path("uv.lock").open("rb") as file:
        locked = tomllib.load(file)["package"]
    named = next(package for package in locked if package["name"] == "reprocnn")["dependencies"]
    for name in sorted({dependency["name"] for dependency in named}):
        # A package may have one version for older Pythons and one for newer ones.
        wanted = [package["version"] for package in locked if package["name"] == name]
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "is not installed"
        if found not in wanted:
            yield f"{name} {found}, expected {' or '.join(wanted)}"


def check_cpu() -> Iterator[Finding]:
    """Report the CPU and the threads, on which the exact bytes of a result depend."""
    try:
        params = load_params(MachineParams)
    except UserError:  # another check reports it
        params = MachineParams()
    described = environment([], params.threads)
    cores = environment([], 0)["threads"]
    yield Finding("ok", "cpu", f"{described['cpu']}; {cores} of {os.cpu_count()} cores; {described['instructions']}")
    threads = f"{params.threads}, pinned" if params.threads else f"{cores}, one per core"
    cpus = "any x86 CPU with AVX2" if params.portable else "a CPU like this one"
    text = f"{threads}: results repeat on {cpus}" + ("" if params.threads else " with the same number of cores")
    limit = _cpu_limit()
    if limit and int(described["threads"]) > limit:
        text = f"{threads}, but this container is limited to {limit:g} cores"
        yield Finding("note", "threads", text, f"`threads: {max(1, int(limit))}` in params.yaml")
    else:
        yield Finding("ok", "threads", text)


def _cpu_limit() -> float:
    """Return the CPU limit of the container in cores, which can be lower than the cores it sees; 0 for no limit."""
    if not _CPU_MAX.exists():
        return 0
    limit, period = _CPU_MAX.read_text().split()
    return 0 if limit == "max" else int(limit) / int(period)


def check_gpu() -> Iterator[Finding]:
    """Check that TensorFlow can use the GPU if there is one."""
    names, error = _gpus()
    listed = ", ".join(names)
    if error and names:
        text = f"{listed}; its driver does not answer: {error}"
        yield Finding("wrong", "gpu", text, "restart the machine, or reinstall the driver")
    elif not names:
        yield Finding("ok", "gpu", "none; TensorFlow uses the CPU")
    elif importlib.util.find_spec("nvidia") is None:  # the module name that all CUDA packages of TensorFlow share
        text = f"{listed}; TensorFlow does not use it without its CUDA packages"
        yield Finding("note", "gpu", text, "make setup EXTRA=--extra=cuda")
    elif os.environ.get("CUDA_VISIBLE_DEVICES", "0") in {"", "-1"}:
        yield Finding("note", "gpu", f"{listed}; hidden by CUDA_VISIBLE_DEVICES", "unset CUDA_VISIBLE_DEVICES")
    else:
        yield Finding("ok", "gpu", f"{listed}; TensorFlow's CUDA packages are installed")


def _gpus() -> tuple[list[str], str]:
    """Return the names of the NVIDIA devices, from the driver or else the system, and the driver's error, if any."""
    error = ""
    if tool := shutil.which("nvidia-smi"):
        query = [tool, "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
        if done.returncode == 0:
            return done.stdout.strip().splitlines(), ""
        error = (done.stdout + done.stderr).strip().partition("\n")[0]
    return [f"NVIDIA device {folder.name}" for folder in _GPU_DEVICES.glob("*")], error
