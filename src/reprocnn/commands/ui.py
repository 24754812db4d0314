"""Serve the MLflow UI."""

import os
import signal
import socket
import subprocess
import sys

from reprocnn.commands import sync
from reprocnn.errors import UserError
from reprocnn.ledger import store
from reprocnn.ledger.masking import masked


def serve_ui(port: int) -> None:
    """Serve the MLflow UI of the store in the checkout, or print the address of the server in MLFLOW_TRACKING_URI.

    Before that, create the missing runs of experiments.

    Args:
        port: the port to use if it is free; otherwise, and for 0, a free one is chosen.

    Raises:
        UserError: the UI failed, or MLflow does not answer.
    """
    uri = store.tracking_uri()
    if not store.has_no_server(uri):
        print(f"the runs are on the server in MLFLOW_TRACKING_URI: {masked(uri)}", flush=True)
        sync.create_missing()
        return
    sync.create_missing()  # this also creates the MLflow experiment, without which the UI shows an error
    port = port if port and _is_free(port) else _free_port()
    print(f"MLflow UI: http://127.0.0.1:{port}  (store: {masked(uri)}; Ctrl-C stops it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    # Hide deprecation warnings of MLflow's server and the line per request; job runners print tracebacks after Ctrl-C.
    own = {"PYTHONWARNINGS": "ignore", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    own["MLFLOW_BACKEND_STORE_URI"] = uri  # not as an argument: all users of the machine could read its password
    options = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    # In its own session, so that Ctrl-C reaches only this process, which then stops the server.
    server = subprocess.Popen([*command, *options], env=os.environ | own, start_new_session=True)
    try:
        if status := server.wait():
            raise UserError(f"the MLflow UI ended with status {status}", "see its output above")
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
