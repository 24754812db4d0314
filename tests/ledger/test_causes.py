"""Each kind of store failure has its own message and fix. The tests cause the failures for real."""

import errno
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, UNAUTHENTICATED

from reprocnn.errors import UserError
from reprocnn.ledger import store
from reprocnn.ledger.causes import cause


class _StatusHandler(BaseHTTPRequestHandler):
    """Answer /401/... with status 401, and so on; with a JSON body if the path contains /json."""

    def do_GET(self) -> None:
        status = int(self.path.split("/")[1])
        body = b'{"error_code": "PERMISSION_DENIED", "message": "not you"}' if "/json/" in self.path else b"<html>"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), _StatusHandler)
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


StoreError = Callable[[str], UserError]


@pytest.fixture
def store_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> StoreError:
    """Provide a function that returns the error of connecting to a store."""

    def run(uri: str) -> UserError:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        with pytest.raises(UserError) as found:
            store.connect_or_explain()
        assert "\n" not in found.value.problem + found.value.fix
        return found.value

    return run


@pytest.mark.parametrize(
    ("path", "text", "fix"),
    [
        ("401", "the server requires a login (401)", "export MLFLOW_TRACKING_USERNAME"),
        ("403", "the server denies permission (403): a user without a login lacks the permission READ", "ask an admin"),
        ("403/json", "the server denies permission (403): PERMISSION_DENIED: not you; a user", "ask the server's"),
        ("404", "the answer is not from an MLflow server (404)", "correct the host"),
        ("405", "the answer is not from an MLflow server", "correct the host"),
        ("200", "the answer is not from an MLflow server", "correct the host"),
        ("429", "the server returns errors (too many 429 error responses)", "check the server's log"),
        ("500", "the server returns errors (too many 500 error responses)", "check the server's log"),
        ("503", "the server returns errors (too many 503 error responses)", "check the server's log"),
    ],
)
def test_error_responses_of_a_server(
    server: ThreadingHTTPServer, store_error: StoreError, path: str, text: str, fix: str
) -> None:
    uri = f"http://127.0.0.1:{server.server_port}/{path}"
    found = store_error(uri)
    assert found.problem.startswith(f"MLflow at {uri}: {text}")
    assert found.fix.startswith(fix)


@pytest.mark.parametrize(
    ("uri", "text", "fix"),
    [
        ("http://127.0.0.1:9", "nothing listens there (connection refused)", "start the server"),
        ("http://me:my-word@127.0.0.1:9", "nothing listens there", "start the server"),
        ("http://no-such-host.invalid:5000", "unknown host name", "correct the host"),
        ("htp://127.0.0.1:9", "MLflow does not support this kind of URI", "write MLFLOW_TRACKING_URI as http://"),
        ("localhost:5000", "MLflow does not support this kind of URI", "write MLFLOW_TRACKING_URI as http://"),
        ("127.0.0.1:5000", "it is a folder, which MLflow no longer supports", "export MLFLOW_ALLOW_FILE_STORE=true"),
        ("./mlruns", "it is a folder, which MLflow no longer supports", "export MLFLOW_ALLOW_FILE_STORE=true"),
        ("http://host:port", "Failed to parse: 'host:port'", "write MLFLOW_TRACKING_URI as http://"),
        ("postgresql://me:my-word@localhost/x", "this store needs the package psycopg,", "uv pip install 'psycopg["),
        ("postgresql+psycopg2://localhost/x", "this store needs the package psycopg2,", "uv pip install 'psycopg2-b"),
        ("mysql://localhost/x", "this store needs the package MySQLdb,", "uv pip install 'mysqlclient'"),
        ("databricks", "Reading Databricks credential configuration failed", "fix what the message names"),
    ],
)
def test_addresses_without_a_store(
    store_error: StoreError, here: Path, monkeypatch: pytest.MonkeyPatch, uri: str, text: str, fix: str
) -> None:
    for module in ("psycopg", "psycopg2", "MySQLdb"):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    found = store_error(uri)
    assert f": {text}" in found.problem
    assert found.fix.startswith(fix)
    assert "my-word" not in found.problem
    assert not (here / "mlruns").exists()


_READ, _EDIT = (f"anna' lacks the permission {level} for the MLflow experiment 'ours'" for level in ("READ", "EDIT"))


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("runs/search", _READ),
        ("experiments/get-by-name", _READ),
        ("runs/create", _EDIT),
        ("runs/log-batch", _EDIT),
        ("logged-models/m-12/finalize", _EDIT),
        ("experiments/restore", "anna' lacks the permission MANAGE for the MLflow experiment 'ours'"),
        ("experiments/create", "anna' may not create the MLflow experiment 'ours'"),
        ("registered-models/create", "anna' may not create the registered model"),
        ("model-versions/create", "anna' lacks the permission EDIT for the registered model"),
    ],
)
def test_a_denial_names_the_user_the_experiment_and_the_permission(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, text: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    said = f"API request to endpoint /api/2.0/mlflow/{endpoint} failed with error code 403 != 200. Response body: 'x'"
    found = cause(MlflowException(said, error_code=PERMISSION_DENIED))
    assert found.text == f"the server denies permission (403): the user '{text}"
    assert found.fix.startswith("ask an administrator")


@pytest.mark.parametrize(("method", "level"), [("PUT", "EDIT"), ("GET", "READ")])
def test_a_denied_file_names_the_permission_too(method: str, level: str) -> None:
    response = requests.Response()
    response.status_code = 403
    response.request = requests.Request(method, "http://server/api/2.0/mlflow-artifacts/artifacts/1/x").prepare()
    error = requests.HTTPError(f"403 Client Error: FORBIDDEN for url: {response.request.url}", response=response)
    assert f"lacks the permission {level} for the MLflow experiment 'reprocnn'" in cause(error).text


@pytest.mark.parametrize(
    ("settings", "text", "fix"),
    [
        ({}, "the server requires a login (401)", "export MLFLOW_TRACKING_USERNAME"),
        ({"MLFLOW_TRACKING_USERNAME": "anna"}, "the server does not know the user 'anna', or the", "correct MLFLOW"),
        ({"MLFLOW_TRACKING_URI": "http://eva:x@server"}, "the server does not know the user 'eva', or", "correct"),
        ({"MLFLOW_TRACKING_TOKEN": "x"}, "the server does not know the user of MLFLOW_TRACKING_TOKEN, or", "correct"),
    ],
)
def test_a_refused_login_names_the_user(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], text: str, fix: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = cause(MlflowException("You are not authenticated", error_code=UNAUTHENTICATED))
    assert found.text.startswith(text)
    assert found.fix.startswith(fix)


def test_a_server_that_does_not_answer_or_closes_the_connection(store_error: StoreError) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no answer in time" in store_error(f"http://127.0.0.1:{silent.getsockname()[1]}").problem
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            while True:
                try:
                    listening.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        found = store_error(f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert "the server closed the connection" in found.problem
        listening.shutdown(socket.SHUT_RDWR)


def test_tls(server: ThreadingHTTPServer, store_error: StoreError, tmp_path: Path) -> None:
    uri = f"https://127.0.0.1:{server.server_port}/200"
    found = store_error(uri)
    assert (found.problem, found.fix[:13]) == (
        f"MLflow at {uri}: the server does not use TLS (WRONG_VERSION_NUMBER)",
        "write http://",
    )
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found = store_error(uri)
    assert "the server's certificate is not trusted (self-signed certificate)" in found.problem
    assert found.fix.startswith("export MLFLOW_TRACKING_SERVER_CERT_PATH=")


def test_a_damaged_sqlite_file(store_error: StoreError, here: Path) -> None:
    store.connect()
    good = here / "mlflow.db"
    for number, content in enumerate((b"no database at all" * 100, good.read_bytes()[:5000] + b"x" * 200_000)):
        (here / f"{number}.db").write_bytes(content)
        found = store_error(f"sqlite:///{number}.db")
        assert "the file is damaged" in found.problem
        assert found.fix == "restore it from a backup"


def _sqlite_error(act: Callable[[sqlite3.Connection], object], uri: str) -> sqlite3.Error:
    with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection, pytest.raises(sqlite3.Error) as found:
        act(connection)
    return found.value


def test_a_sqlite_file_that_is_full_read_only_or_locked(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE a (b)")

        def fill(connection: sqlite3.Connection) -> None:
            connection.execute("PRAGMA max_page_count=2")
            connection.execute("INSERT INTO a VALUES (zeroblob(100000))")

        assert cause(_sqlite_error(fill, file.as_uri())).text.startswith("the disk is full")
        write = "INSERT INTO a VALUES (1)"
        error = _sqlite_error(lambda c: c.execute(write), f"{file.as_uri()}?mode=ro")
        assert cause(error).text.startswith("the file isn't writable")
        other.execute("BEGIN EXCLUSIVE")
        assert cause(_sqlite_error(lambda c: c.execute(write), file.as_uri())).text.startswith("another process is")


def test_a_full_disk_and_a_folder_without_write_permission() -> None:
    with pytest.raises(OSError, match="No space left") as full, Path("/dev/full").open("w", buffering=1) as file:
        file.write("x\n")
    assert cause(full.value) == (
        "the disk is full ([Errno 28] No space left on device)",
        "free disk space",
        False,
    )
    refused = cause(PermissionError(errno.EACCES, "Permission denied", "/srv/runs"))
    assert refused.text == "/srv/runs isn't writable (Permission denied)"


def test_an_unknown_error_keeps_its_helpful_part() -> None:
    """Keep the innermost message, cut at the end of a sentence if it is too long."""
    try:
        try:
            raise RuntimeError("the bucket is in eu-west-1")
        except RuntimeError as reason:
            raise ValueError("tried this and that " * 50) from reason
    except ValueError as error:
        assert cause(error).text == "the bucket is in eu-west-1"
    assert cause(ValueError("x" * 100 + ". " + "y" * 150 + ". " + "z" * 150)).text == "x" * 100 + ". " + "y" * 150 + "."
    assert cause(ValueError("")).text == "ValueError"
