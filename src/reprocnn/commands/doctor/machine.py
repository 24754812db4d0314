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

_CODE = Path(__file__).resolve().parents[3]
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_DEVICES = Path("/proc/driver/nvidia/gpus")
_ACTIVATE = "source .venv/bin/activate"


def python() -> Iterator[Finding]:
    """Check that this Python is the one of the stages, runs this checkout's code, and has the packages of uv.lock."""
    own, found = Path(".venv/bin/python"), shutil.which("python")
    if (repository() / "src").resolve() != _CODE:
        elsewhere = own.exists() and Path(sys.prefix).resolve() != Path(".venv").resolve()
        fix = _ACTIVATE if elsewhere else f"rm -rf .venv && make setup && {_ACTIVATE}"
        yield Finding("wrong", "python", f"`python -m reprocnn` is the code of {_CODE}, not of this checkout", fix)
    elif not found or Path(found).parent != Path(sys.executable).parent:
        text = f"the `python` of the stages is {found or 'not found'}, this one is {sys.executable}"
        yield Finding("wrong", "python", text, _ACTIVATE)
    elif differ := list(_differences()):
        # A plain `make setup` only checks the modification time of uv.lock.
        yield Finding(
            "wrong", "python", f"packages differ from uv.lock: {', '.join(differ)}", "rm -f .venv/ready* && make setup"
        )
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
            found = "absent"
        if found not in wanted:
            yield f"{name} {found}, expected {' or '.join(wanted)}"


def processor() -> Iterator[Finding]:
    """Report the properties of the processor on which the exact bits of a result depend."""
    try:
        params = load_params(MachineParams)
    except UserError:  # another check reports it
        params = MachineParams()
    known = environment([], params.threads)
    cores = environment([], 0)["threads"]
    yield Finding("ok", "cpu", f"{known['cpu']}; {cores} of {os.cpu_count()} cores; {known['instructions']}")
    how = f"{params.threads}, pinned" if params.threads else f"{cores}, one per core"
    like = "any x86 CPU with AVX2" if params.portable else "a CPU like this one"
    text = f"{how}: results repeat on {like}" + ("" if params.threads else " with as many cores")
    quota = _quota()
    if quota and int(known["threads"]) > quota:
        text = f"{how}, but this container is limited to {quota:g} cores"
        yield Finding("note", "threads", text, f"`threads: {max(1, int(quota))}` in params.yaml")
    else:
        yield Finding("ok", "threads", text)


def _quota() -> float:
    """Return the CPU limit of the container in cores, which can be lower than the cores it sees; 0: no limit."""
    if not _QUOTA.exists():
        return 0
    most, period = _QUOTA.read_text().split()
    return 0 if most == "max" else int(most) / int(period)


def gpu() -> Iterator[Finding]:
    """Check that TensorFlow can use the GPU if there is one."""
    names, error = _gpus()
    listed = ", ".join(names)
    if error and names:
        yield Finding(
            "wrong",
            "gpu",
            f"{listed}; its driver does not answer: {error}",
            "restart the machine, or reinstall the driver",
        )
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
    """List the NVIDIA devices, from the driver or else the system; also return the error of the driver, if any."""
    error = ""
    if tool := shutil.which("nvidia-smi"):
        query = [tool, "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
        if done.returncode == 0:
            return done.stdout.strip().splitlines(), ""
        error = (done.stdout + done.stderr).strip().partition("\n")[0]
    return [f"NVIDIA device {folder.name}" for folder in _DEVICES.glob("*")], error
