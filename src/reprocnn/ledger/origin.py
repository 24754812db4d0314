"""Describe where a run comes from: commit, DVC experiment, user."""

import getpass
import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from reprocnn.ledger.git import Changes, git, is_tracked

EXPERIMENT_TAG, BASELINE_TAG = "dvc.exp.name", "dvc.exp.baseline_rev"
NO_EXPERIMENT = "none"
"""The value of both tags outside of `dvc exp run`."""

NO_EXPERIMENT_TAGS = {EXPERIMENT_TAG: NO_EXPERIMENT, BASELINE_TAG: NO_EXPERIMENT}
"""The experiment tags of a run outside of `dvc exp run`."""

PARENT_TAG, PARENT_VARIABLE = "mlflow.parentRunId", "REPROCNN_PARENT_RUN"
"""The tag with the MLflow run of the sweep that a trial belongs to, and the environment variable that names it."""

IMAGES_TAG = "images.untracked"
"""The tag with the folder of images that neither Git nor DVC tracks."""


def experiment_of(tags: Mapping[str, str]) -> tuple[str, str]:
    """Return the name and the baseline of the experiment of a run, from its tags."""
    return tags.get(EXPERIMENT_TAG, NO_EXPERIMENT), tags.get(BASELINE_TAG, NO_EXPERIMENT)


def _user() -> str:
    with suppress(OSError, KeyError):  # in a container the user ID may have no name
        return getpass.getuser()
    return "unknown"


def run_name() -> str:
    """Return the name of the running DVC experiment; outside of one, `branch@commit`."""
    branch = git("rev-parse", "--abbrev-ref", "HEAD") or "no-git"
    commit = git("rev-parse", "--short", "HEAD") or "no-commit"
    return os.environ.get("DVC_EXP_NAME") or f"{branch}@{commit}"


def origin(changes: Changes) -> dict[str, str]:
    """Return the tags of a run that say where its code, params and process come from.

    Args:
        changes: the uncommitted changes.
    """
    return {
        "git.commit": git("rev-parse", "HEAD") or "none",
        "git.dirty": str(bool(changes)).lower(),
        EXPERIMENT_TAG: os.environ.get("DVC_EXP_NAME", NO_EXPERIMENT),
        BASELINE_TAG: os.environ.get("DVC_EXP_BASELINE_REV", NO_EXPERIMENT),
        "mlflow.user": _user(),
        "mlflow.source.name": sys.argv[0],
        "mlflow.source.type": "LOCAL",
        **({PARENT_TAG: parent} if (parent := os.environ.get(PARENT_VARIABLE)) else {}),
    }


def untracked_images(params: dict[str, str]) -> dict[str, str]:
    """Return the tag of a run whose images neither Git nor DVC tracks; empty for other runs."""
    if params.get("dataset") != "folder" or is_tracked(params["folder"]):
        return {}
    return {IMAGES_TAG: params["folder"]}
