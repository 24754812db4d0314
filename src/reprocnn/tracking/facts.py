"""What a result may depend on and no out of DVC's may hold: commit, changes, versions, hardware."""

import getpass
import hashlib
import json
import os
import platform
import re
import socket
import sys
from contextlib import suppress
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import psutil

from reprocnn.files import md5
from reprocnn.params import read_params
from reprocnn.tracking.git import git, is_tracked, uncommitted

EXPERIMENT_TAG, BASELINE_TAG = "dvc.exp.name", "dvc.exp.baseline_rev"
NO_EXPERIMENT = "none"
"""The value of both outside of `dvc exp run`."""

IMAGES_TAG = "images.untracked"

_PACKAGES = (
    *("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pillow", "pandas", "matplotlib"),
    *("dvc", "mlflow"),
)
_IGNORED = ("__pycache__", "*.pyc", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints", "*.swp", "*~")
_CLOCK = 60.0
_INSTRUCTIONS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "sve")


def _user() -> str:
    with suppress(OSError, KeyError):  # a container may have no name for it
        return getpass.getuser()
    return "unknown"


def run_name() -> str:
    """The DVC experiment, or branch and commit."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD") or "no-git"
    commit = git("rev-parse", "--short", "HEAD") or "no-commit"
    return os.environ.get("DVC_EXP_NAME") or f"{branch}@{commit}"


def origin() -> dict[str, str]:
    """Where the code, the params and the process come from, as tags."""
    return {
        "git.commit": git("rev-parse", "HEAD") or "none",
        "git.dirty": str(bool(uncommitted())).lower(),
        EXPERIMENT_TAG: os.environ.get("DVC_EXP_NAME", NO_EXPERIMENT),
        BASELINE_TAG: os.environ.get("DVC_EXP_BASELINE_REV", NO_EXPERIMENT),
        "mlflow.user": _user(),
        "mlflow.source.name": sys.argv[0],
        "mlflow.source.type": "LOCAL",
    }


def untracked_images(params: dict[str, str]) -> dict[str, str]:
    """The tag of a run whose images are in neither Git nor DVC, so that nobody else can repeat it; empty for others."""
    if params.get("dataset") != "folder" or is_tracked(params["folder"]):
        return {}
    return {IMAGES_TAG: params["folder"]}


def this_process() -> str:
    """Host, number and start of this process."""
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.0f}"


def is_gone(process: str) -> bool:
    """Whether a process, as `this_process` names it, was on this host and has ended."""
    host, number, start = process.split()
    if host != socket.gethostname():
        return False
    try:
        # Not to the second: the start is told from the clock, which may be set in between.
        return abs(psutil.Process(int(number)).create_time() - float(start)) > _CLOCK
    except psutil.NoSuchProcess:
        return True


def environment(gpus: list[str], threads: int) -> dict[str, str]:
    """The machine and the versions: equal for two runs on one machine.

    Args:
        gpus: their names.
        threads: of an operation; 0: one a core.
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
    """The name of the processor."""
    with suppress(OSError):
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _instructions() -> str:
    """The instruction sets of the processor that change how sums are cut."""
    with suppress(OSError):
        if found := re.search(r"(?:flags|Features)\s*: (.+)", Path("/proc/cpuinfo").read_text()):
            return " ".join(name for name in _INSTRUCTIONS if name in found[1].split())
    return "unknown"


def stage_hashes(stage: str) -> dict[str, str]:
    """The md5 of everything that a stage of dvc.yaml reads, in the way of dvc.lock."""
    return {name: content_md5(Path(name)) for name in read_params(Path("dvc.yaml"))["stages"][stage]["deps"]}


def content_md5(path: Path) -> str:
    """The md5 of a file, or of a folder as DVC makes it: of the list of its files."""
    if path.is_file():
        return md5(path)
    names = sorted((f.relative_to(path).as_posix(), f) for f in path.rglob("*") if f.is_file() and not _is_ignored(f))
    listed = json.dumps([{"md5": md5(f), "relpath": name} for name, f in names])
    return hashlib.md5(listed.encode()).hexdigest() + ".dir"


def _is_ignored(file: Path) -> bool:
    """Whether .dvcignore names it."""
    return any(fnmatch(part, pattern) for part in file.parts for pattern in _IGNORED)


_NAMES = r"password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credential"
_SECRETS = (
    # A name that says secret, and the rest of its line: `name = ...`, `name: ...`, `--name ...`
    re.compile(rf"(?i)([\w.-]*(?:{_NAMES}|authorization)[\w.-]*[\"']?\s*[:=]\s*).+"),
    re.compile(rf"(?i)(--[\w-]*(?:{_NAMES})[\w-]*\s+).+"),
    re.compile(r"(?i)(\bbearer\s+)\S+"),
    # Values that are secrets wherever they stand: AWS, GitHub, GitLab, Slack, OpenAI, Hugging Face, JSON web tokens
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\b(?:gh[pousr]_|github_pat_|glpat-|xox[abp]-|sk-|hf_|eyJ)[\w.-]{16,}"),
    re.compile(r"(\w+://)[^\s/]+(?=@)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|\Z)"),
)


def masked(text: str) -> str:
    """The text with what looks like a secret replaced by ***."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text
