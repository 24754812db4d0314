"""Say who is logged in at an MLflow server, and which permission an answer of the server says is lacking."""

import os
import re
from typing import NamedTuple
from urllib.parse import urlparse

EXPERIMENT = "reprocnn"
"""The MLflow experiment of the runs, unless MLFLOW_EXPERIMENT_NAME names another one."""

_ENDPOINT = re.compile(r"(?:endpoint |for url: )\S*?/mlflow(?:-artifacts)?/(\S+)")
"""The endpoint in the messages of MLflow and of requests for an error response."""
_READING = {"get", "get-by-name", "get-history", "get-download-uri", "get-latest-versions", "list", "search"}
"""The last words of the endpoints that change nothing."""


class Denial(NamedTuple):
    """What a user lacks, and what to do about it."""

    text: str
    fix: str


def experiment_name() -> str:
    """Return the name of the MLflow experiment of the runs."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT


def user_name() -> str:
    """Return the name of the user who is logged in, for messages; empty if there is no login."""
    from mlflow.utils.credentials import read_mlflow_creds

    name = read_mlflow_creds().username or urlparse(os.environ.get("MLFLOW_TRACKING_URI", "")).username
    if name:
        return f"the user {name!r}"
    return "the user of MLFLOW_TRACKING_TOKEN" if os.environ.get("MLFLOW_TRACKING_TOKEN") else ""


def denial(answer: str, method: str = "") -> Denial:
    """Explain that a server denies permission.

    MLflow's own server says no more than that. The endpoint tells what was asked for, and so which of MLflow's
    permissions is lacking: READ, EDIT or MANAGE. Other servers may have other permissions, and say more.

    Args:
        answer: the message of the error, with the endpoint if the server is MLflow's own.
        method: the method of the request, if known.
    """
    who = user_name() or "a user without a login"
    found = _ENDPOINT.search(answer)
    if not found:
        text = f"{answer}; {who}, MLflow experiment {experiment_name()!r}"
        return Denial(text, "ask the server's administrator for write permission, or log in as another user")
    words = found[1].rstrip("/").split("/")
    is_model = words[0] in {"registered-models", "model-versions"}
    what = "the registered model" if is_model else f"the MLflow experiment {experiment_name()!r}"
    if words[-1] == "create" and words[0] in {"experiments", "registered-models"}:
        return Denial(f"{who} may not create {what}", f"ask an administrator of the server to create {what}, with EDIT")
    level = "READ" if words[-1] in _READING or method == "GET" else "MANAGE" if words[-1] == "restore" else "EDIT"
    own = "choose another name" if is_model else "export MLFLOW_EXPERIMENT_NAME=NAME, an experiment of your own"
    return Denial(f"{who} lacks the permission {level} for {what}", f"ask an administrator for {level}, or {own}")
