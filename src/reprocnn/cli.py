"""`python -m reprocnn`: what is not a stage."""

import argparse
import os
import signal
import socket
import subprocess
import sys

from reprocnn import paths, tracking
from reprocnn.errors import UserError
from reprocnn.files import read_json


def main(arguments: list[str] | None = None) -> None:
    """Run a command; see `python -m reprocnn --help`."""
    parser = argparse.ArgumentParser(prog="python -m reprocnn", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("ui", help="show the runs in the MLflow UI")
    command.add_argument("--port", type=int, default=5000, help="where to listen (default: 5000, or a free one)")
    command.set_defaults(run=lambda a: ui(a.port))
    command = commands.add_parser("summary", help="say what the last run made and where to look")
    command.set_defaults(run=lambda _: summary())
    parsed = parser.parse_args(arguments)
    try:
        parsed.run(parsed)
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def summary() -> None:
    """Print the result in the workspace and where to look."""
    if not (paths.METRICS.exists() and paths.REPORT.exists()):
        raise UserError(f"{paths.REPORT} is missing: nothing was run here", "dvc repro")
    metrics, card = read_json(paths.METRICS), read_json(paths.MODEL_CARD)
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    print(
        f"\n{card['model']} on {card['dataset']}: test accuracy {metrics['accuracy']:.2%} "
        f"(95 % interval {low:.2%} to {high:.2%}, {metrics['n']} images)\n"
        f"  report   {paths.REPORT}   figures {paths.FIGURES}/\n"
        f"  metrics  {paths.METRICS}   model {paths.MODEL}\n"
        "  MLflow   make ui"
    )


def ui(port: int) -> None:
    """Serve the MLflow UI of the store in the checkout, or name the server that MLFLOW_TRACKING_URI names."""
    uri = tracking.tracking_uri()
    if uri.startswith("http"):
        print(f"the runs are on the server that MLFLOW_TRACKING_URI names: {tracking.masked(uri)}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with this process
    tracking.connect()  # an empty store, with the experiment in it, rather than an error
    port = port if port and _is_free(port) else _free_port()
    print(f"MLflow UI: http://127.0.0.1:{port}  (store: {uri}; Ctrl-C ends it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port)]
    # Neither deprecations inside of MLflow's server, nor a line per request, nor job runners, which shout at Ctrl-C.
    quiet = {"PYTHONWARNINGS": "ignore", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    options = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    # In a session of its own, so that Ctrl-C reaches this process alone, which then ends the server.
    server = subprocess.Popen([*command, *options], env=os.environ | quiet, start_new_session=True)
    try:
        if status := server.wait():
            raise UserError(f"the MLflow UI ended with status {status}", "see its lines above")
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
