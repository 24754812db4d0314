"""Where the project keeps what outlives a stage."""

import os
from pathlib import Path


def repository() -> Path:
    """The user's checkout, also from a `--temp` or `--queue` experiment, which works in a copy of it."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def kept(name: str) -> Path:
    """A place outside of DVC's outs, for what has to outlive a stage and the copy that an experiment works in."""
    return repository() / ".dvc" / "tmp" / "reprocnn" / name
