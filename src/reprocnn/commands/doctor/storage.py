"""Check the disk: how DVC's cache and the workspace share files, and whether the data set fits."""

import math
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from reprocnn.artifacts.dataset import DATASET, read_dataset
from reprocnn.catalog import DATA_SETS
from reprocnn.commands.doctor.findings import Finding, format_size, run_dvc
from reprocnn.data.title import title
from reprocnn.errors import UserError
from reprocnn.ledger import revisions
from reprocnn.params import DownloadParams, load_params

_LINK_COSTS = {
    "reflink": "an output and its copy in the cache share disk space",
    "hardlink": "each output is on disk once, and read-only (`dvc unprotect FILE` before an edit)",
    "symlink": "each output is on disk once, and read-only; after moving the checkout run `dvc checkout`",
}

_BYTES_PER_VALUE = 1 + 4
"""Bytes per pixel value: raw as uint8, and normalised as float32."""


def check_storage() -> Iterator[Finding]:
    """Check the link type of DVC's cache, with its cost, and the free disk space."""
    link = ""
    try:
        link_types = _working_link_types()
        if link_types is None:
            yield Finding("ok", "cache", "none yet; the first run creates it")
        else:
            link = _link_type(link_types)
            yield _report_link_type(link, link_types)
    except UserError as error:
        yield Finding("note", "cache", f"unknown: {error.problem}")
    yield _check_disk(copies=2 if link == "copy" else 1)


def _working_link_types() -> str | None:
    """Return the link types that work between cache and workspace, separated by commas; None without a cache."""
    found = re.search(r"^Cache types:([a-z, ]*)$", run_dvc("version"), re.MULTILINE)
    return found[1].strip() if found else None


def _link_type(link_types: str) -> str:
    """Return the link type that DVC uses: the first configured one that works, else `copy`."""
    configured = run_dvc("config", "cache.type").strip() or "reflink,copy"
    return next((link for link in map(str.strip, configured.split(",")) if link in link_types), "copy")


def _report_link_type(link: str, link_types: str) -> Finding:
    if link != "copy":
        return Finding("ok", "cache", f"{link}: {_LINK_COSTS[link]}")
    outs = 0
    with suppress(UserError):  # about dvc.lock: another check reports it
        outs = sum(out.get("size", 0) for stage in revisions.lock_of("").values() for out in stage.get("outs", []))
    text = f"copy: each output is on disk twice, {format_size(outs)} more for the outputs of dvc.lock"
    if link_types:
        fix = f"dvc config --local cache.type '{link_types.replace(' ', '')},copy' && dvc checkout --relink"
    else:
        other_disk = "move both to a file system that supports links"
        fix = f"dvc cache dir --local FOLDER  # on the disk of the checkout\n{other_disk}"
    return Finding("note", "cache", text, fix)


def _check_disk(copies: int) -> Finding:
    free = shutil.disk_usage(Path()).free
    try:
        params = load_params(DownloadParams)
    except UserError:  # another check reports it
        return Finding("ok", "disk", f"{format_size(free)} free")
    name = title(params.dataset, params.folder)
    with suppress(FileNotFoundError, UserError):  # written by another version; download writes it again
        if read_dataset(DATASET).dataset == name:
            return Finding("ok", "disk", f"{format_size(free)} free; {name} is already downloaded")
    needed = _needed_bytes(params, copies)
    if needed is None:
        return Finding("ok", "disk", f"{format_size(free)} free; the size of an archive's images is unknown")
    text = f"{format_size(free)} free; {name} needs about {format_size(needed)}"
    if needed < free:
        return Finding("ok", "disk", text)
    fix = "dvc gc --all-commits --all-experiments  # removes what no commit or experiment uses"
    return Finding("wrong", "disk", text, fix)


def _needed_bytes(params: DownloadParams, copies: int) -> int | None:
    """Estimate the bytes that the data set needs, raw and normalised, with its download; None for an archive."""
    row = DATA_SETS[params.dataset]
    if row.images and row.image_shape:
        return copies * row.images * math.prod(row.image_shape) * _BYTES_PER_VALUE + row.download_bytes
    if not Path(params.folder).is_dir():
        return None
    images = sum(path.is_file() for path in Path(params.folder).rglob("*"))
    channels = 3 if params.color_mode == "rgb" else 1
    return copies * images * params.image_size**2 * channels * _BYTES_PER_VALUE
