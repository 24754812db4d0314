"""Serve the MLflow UI."""

import os
import signal
import socket
import subprocess
import sys

from reprocnn.commands import sync
from reprocnn.errors import UserError
from reprocnn.ledger import store
from reprocnn.masking import masked


def serve_ui(port: int) -> None:
    """Serve the MLflow UI of the store in the checkout, and print the address of the page with the runs.

    Before that, create the missing runs of experiments. If MLFLOW_TRACKING_URI names a server, only print its address.

    Args:
        port: the port to use if it is free; otherwise, and for 0, a free one is chosen.

    Raises:
        UserError: the UI failed, or MLflow does not answer.
    """
    uri = store.tracking_uri()
    if not store.has_no_server(uri):
        print(f"the runs are on the server in MLFLOW_TRACKING_URI: {masked(uri)}", flush=True)
        experiment = sync.create_missing()
        if uri.startswith("http"):
            print(f"  {_runs_page(masked(uri), experiment)}", flush=True)
        return
    experiment = sync.create_missing()  # this also creates the MLflow experiment, without which the UI shows an error
    port = port if port and _is_free(port) else _free_port()
    page = _runs_page(f"http://127.0.0.1:{port}", experiment)
    print(f"MLflow UI: {page}  (store: {masked(uri)}; Ctrl-C stops it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port)]
    # Hide deprecation warnings of MLflow's server and the line per request; job runners print tracebacks after Ctrl-C.
    own = {"PYTHONWARNINGS": "ignore", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    own["MLFLOW_BACKEND_STORE_URI"] = uri  # not as an argument: all users of the machine could read its password
    options = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    # The settings switch telemetry off, that of the pages in the browser too, which ask the server for it.
    # In its own session, so that Ctrl-C reaches only this process, which then stops the server.
    server = subprocess.Popen([*command, *options], env=os.environ | store.settings() | own, start_new_session=True)
    try:
        if status := server.wait():
            raise UserError(f"the MLflow UI ended with status {status}", "see its output above")
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def _runs_page(server: str, experiment: str) -> str:
    """Return the address of the runs of an experiment; the address of the server alone opens a welcome page."""
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
