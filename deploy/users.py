"""Add users to the team's MLflow server, and give them permissions, as its administrator.

Run it where MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD are those of the administrator:

    python deploy/users.py add ana                         # asks for a password; in a script it comes on standard input
    python deploy/users.py password ana                    # gives ana another one
    python deploy/users.py allow ana --experiment vision   # to write there; the experiment is created if it is missing
    python deploy/users.py allow ana --model digits        # to register versions of a model, and to promote them
    python deploy/users.py remove ana
"""

import argparse
import getpass
import os
import sys
from typing import Any

import requests


def _ask(method: str, path: str, **values: str) -> Any:
    """Send a request to the server and return its answer; for an experiment that is missing: an empty one.

    Exits with the server's message if it refuses.
    """
    login = os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
    address = f"{os.environ['MLFLOW_TRACKING_URI'].rstrip('/')}/api/{path}"
    where: dict[str, Any] = {"params": values} if method == "GET" else {"json": values}
    answer = requests.request(method, address, auth=login, timeout=30, **where)
    if not answer.ok and (method, answer.status_code) != ("GET", 404):
        sys.exit(f"error: {answer.status_code} {answer.text.strip()}")
    return answer.json() if answer.ok and answer.content else {}


def _password() -> str:
    """Ask for a password; without a terminal, read a line."""
    return getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _experiment(name: str) -> str:
    """Return the ID of an MLflow experiment; create it if it is missing."""
    found = _ask("GET", "2.0/mlflow/experiments/get-by-name", experiment_name=name)
    found = found.get("experiment") or _ask("POST", "2.0/mlflow/experiments/create", name=name)
    return str(found["experiment_id"])


def _allow(options: argparse.Namespace) -> None:
    """Give a user a permission for an MLflow experiment or a registered model."""
    kind = "experiment" if options.experiment else "registered_model"
    identity = _experiment(options.experiment) if options.experiment else options.model
    values = {"resource_type": kind, "resource_id": identity, "permission": options.permission}
    _ask("POST", "3.0/mlflow/users/permissions/grant", username=options.name, **values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Users of the team's MLflow server, and their permissions")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("add", "password", "remove", "allow"):
        commands.add_parser(command).add_argument("name")
    allow = commands.choices["allow"]
    what = allow.add_mutually_exclusive_group(required=True)
    what.add_argument("--experiment")
    what.add_argument("--model")
    allow.add_argument("--permission", choices=["READ", "EDIT", "MANAGE"], default="EDIT")
    return parser.parse_args()


def main() -> None:
    """Do what the arguments say."""
    options = _options()
    match options.command:
        case "add":
            _ask("POST", "2.0/mlflow/users/create", username=options.name, password=_password())
        case "password":
            _ask("PATCH", "2.0/mlflow/users/update-password", username=options.name, password=_password())
        case "remove":
            _ask("DELETE", "2.0/mlflow/users/delete", username=options.name)
        case "allow":
            _allow(options)


if __name__ == "__main__":
    main()
