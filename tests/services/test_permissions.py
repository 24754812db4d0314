"""What users of a server with MLflow's basic authentication see if they may not write; the server is a real one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from made_models import Results
from mlflow_servers import mlflow_server
from reprocnn import cli
from reprocnn.artifacts.files import write_bytes
from reprocnn.artifacts.model import MODEL
from reprocnn.ledger import access, registry, store
from reprocnn.run import mirror

pytestmark = pytest.mark.service

_LOGIN = "mlflow.server.auth:authenticate_request_basic_auth"
_ADMIN, _ANNA = ("admin", "the-password-of-the-admin"), ("anna", "the-password-of-anna")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server with an administrator and the user anna, who by default may read everything."""
    folder = tmp_path_factory.mktemp("auth")
    settings = folder / "auth.ini"
    lines = ("default_permission = READ", f"database_uri = sqlite:///{folder}/auth.db", "admin_username = admin")
    # Without the cache, each request takes half a second: the server hashes the password again.
    more = (f"authorization_function = {_LOGIN}", "auth_cache_ttl_seconds = 600")
    settings.write_text("\n".join(("[mlflow]", *lines, *more)))
    secrets = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "for-tests", "MLFLOW_AUTH_ADMIN_PASSWORD": _ADMIN[1]}
    with mlflow_server(
        folder / "server", "--app-name", "basic-auth", MLFLOW_AUTH_CONFIG_PATH=str(settings), **secrets
    ) as uri:
        _ask(uri, "users/create", username=_ANNA[0], password=_ANNA[1])
        yield uri


def _ask(uri: str, endpoint: str, **body: str) -> requests.Response:
    answer = requests.post(f"{uri}/api/2.0/mlflow/{endpoint}", json=body, auth=_ADMIN, timeout=30)
    answer.raise_for_status()
    return answer


LogIn = Callable[[tuple[str, str]], None]


@pytest.fixture
def log_in(server: str, monkeypatch: pytest.MonkeyPatch) -> LogIn:
    def log_in(user: tuple[str, str]) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user[0])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", user[1])

    return log_in


@pytest.fixture
def results(here: Path, log_in: LogIn) -> Results:
    """Provide a repository with a result, and log in as anna; the MLflow experiment is that of the admin."""
    log_in(_ADMIN)
    store.connect()
    made = Results(here)
    made.commit(model="base")
    made.write(model="mlp", wrong=range(10))
    log_in(_ANNA)
    return made


_DENIED = "the server denies permission (403): the user 'anna' lacks the permission EDIT for the MLflow experiment"


def test_sync_without_write_permission_says_which_and_fails(
    results: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["runs"])
    assert "no run" in capsys.readouterr().out, "anna may read"
    with pytest.raises(SystemExit) as ended:
        cli.main(["sync"])
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert f": {_DENIED} '{access.EXPERIMENT}'\n" in printed
    assert "\n  fix: ask an administrator for EDIT, or export MLFLOW_EXPERIMENT_NAME=NAME, an " in printed
    assert "1 result: 0 runs created, 0 completed, 0 already complete, 1 failed\n" in printed


def test_promote_without_write_permission_says_which(results: Results) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["promote"])
    problem, fix = str(ended.value.code).split("\n")
    assert _DENIED in problem
    assert fix.startswith("  fix: ask an administrator for EDIT")


def test_an_experiment_of_ones_own_is_the_fix(
    results: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of-anna")
    cli.main(["sync"])
    assert "1 result: 1 run created" in capsys.readouterr().out


def test_a_model_of_somebody_else_is_not_changed(
    results: Results, log_in: LogIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log_in(_ADMIN)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "second-of-admin")
    cli.main(["promote", "--name", "of-admin"])
    log_in(_ANNA)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "second-of-anna")
    results.write(model="vgg")
    lacks = r"\(403\): the user 'anna' lacks the permission EDIT for the registered model\n  fix: ask an administrator"
    with pytest.raises(SystemExit, match=lacks):
        cli.main(["promote", "--name", "of-admin"])
    cli.main(["promote", "--name", "of-anna"])
    own = next(version for version in registry.versions(store.reader()) if version.name == "of-anna")
    assert own.aliases == ("champion",)


def test_copying_models_without_write_permission_says_which(
    results: Results, log_in: LogIn, server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    cli.main(["promote"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(["registry", "copy", "--to", server])
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert f": {_DENIED} '{access.EXPERIMENT}'\n" in printed
    assert "1 version: 0 copied, 0 already there, 1 failed; " in printed


@pytest.mark.parametrize("command", ["sync", "runs", "promote", "registry"])
def test_a_wrong_password_names_the_user(results: Results, log_in: LogIn, command: str) -> None:
    log_in(("anna", "a-wrong-password"))
    expected = (
        r"the server does not know the user 'anna', or the password is wrong \(401\)\n  fix: correct MLFLOW_TRACK"
    )
    with pytest.raises(SystemExit, match=expected):
        cli.main([command])


def test_no_login_is_an_error_that_says_how(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    with pytest.raises(
        SystemExit, match=r"the server requires a login \(401\)\n  fix: export MLFLOW_TRACKING_USERNAME"
    ):
        cli.main(["sync"])


def test_a_stage_only_warns(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    write_bytes(MODEL, b"a model")
    mirror.log_stage("evaluate")
    printed = capsys.readouterr().out
    assert printed.count("warning: the MLflow run is incomplete; the stage continues.") == 1
    assert f"{_DENIED} '{access.EXPERIMENT}'\n  fix: ask an administrator for EDIT" in printed
