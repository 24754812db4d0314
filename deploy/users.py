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

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient


def _password() -> str:
    """Ask for a password; without a terminal, read a line."""
    return getpass.getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _experiment(name: str) -> str:
    """Return the ID of an MLflow experiment; create it if it is missing."""
    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _allow(client: AuthServiceClient, options: argparse.Namespace) -> None:
    """Give a user a permission for an MLflow experiment or a registered model."""
    if options.experiment:
        client.grant_user_permission(options.name, "experiment", _experiment(options.experiment), options.permission)
    else:
        client.grant_user_permission(options.name, "registered_model", options.model, options.permission)


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
    """Do what the arguments say; exit with MLflow's message if it refuses."""
    options, client = _options(), AuthServiceClient(os.environ["MLFLOW_TRACKING_URI"])
    try:
        match options.command:
            case "add":
                client.create_user(options.name, _password())
            case "password":
                client.update_user_password(options.name, _password())
            case "remove":
                client.delete_user(options.name)
            case "allow":
                _allow(client, options)
    except MlflowException as error:
        sys.exit(f"error: {error.message}")


if __name__ == "__main__":
    main()
