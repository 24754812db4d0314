"""The files in deploy/, which start a team's services; tests/services runs what they say."""

import re
import subprocess
import tomllib

import mlflow.cli

from checkouts import ROOT
from daemons import DEPLOY, SECRETS, compose

SERVICES = compose(SECRETS | {"MLFLOW_HOSTS": "mlflow.example.org"})["services"]


def _locked(name: str) -> str:
    """The version of a package in uv.lock."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (version,) = (package["version"] for package in packages if package["name"] == name)
    return str(version)


def test_images_have_versions_and_health_checks_and_their_data_are_in_named_volumes() -> None:
    volumes = compose({})["volumes"]
    for name, service in SERVICES.items():
        assert re.search(r":v?\d+\.\d+", service["image"]), name
        assert service["healthcheck"]["test"][0] == "CMD", name
        for volume in service["volumes"]:
            source, _, rest = volume.partition(":")
            assert source in volumes or ((DEPLOY / source).is_file() and rest.endswith(":ro")), volume
    assert volumes.keys() == {v.partition(":")[0] for s in SERVICES.values() for v in s["volumes"] if v[0] != "."}


def test_the_servers_packages_are_those_of_uv_lock() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    pinned = dict(re.findall(r"([\w-]+)(?:\[auth\])?==([\d.]+)", text))
    assert pinned == {name: _locked(name) for name in ("mlflow", "psycopg2-binary", "boto3")}
    assert SERVICES["mlflow"]["image"].endswith(f":{pinned['mlflow']}")


def test_mlflow_knows_the_arguments_of_its_server() -> None:
    program, command, *arguments = SERVICES["mlflow"]["command"]
    assert program == "mlflow"
    options = mlflow.cli.cli.commands[command].make_context(command, arguments).params
    assert options["app_name"] == "basic-auth"
    assert options["serve_artifacts"]
    assert options["artifacts_destination"].startswith(
        f"s3://{SERVICES['objects']['environment']['GARAGE_DEFAULT_BUCKET']}/"
    )
    assert options["allowed_hosts"] == "localhost:5000,mlflow.example.org"


def test_secrets_are_variables_of_env_and_in_no_argument() -> None:
    named = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    assert named == set(example)
    assert set(SECRETS) <= named
    assert not [name for name in SECRETS if example[name]]
    for name, service in SERVICES.items():
        arguments = str([service.get("command"), service["healthcheck"]])
        assert not [secret for secret in SECRETS.values() if secret in arguments], name
    subprocess.run(["git", "check-ignore", "-q", "deploy/.env"], cwd=ROOT, check=True)
