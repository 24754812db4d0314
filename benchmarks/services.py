"""Measure what a tracking server and a Git remote take: requests and pushes per second, and what one trial sends.

Usage: python benchmarks/services.py [server] [git] [trial] [--seconds S] [--clients N]

- server: MLflow's server with two workers, on a SQLite file and on PostgreSQL 15 (if it is installed; needs the
  packages of `make setup EXTRA=--group=services`). Clients send, each kind alone, what a training sends: create a run,
  log the metrics of an epoch, log an artifact of 16 KiB. Each sends its next request as soon as it has the answer.
- git: clones push experiments, a commit and a ref each, to one bare repository, by path and by SSH (if sshd is
  installed).
- trial: two `dvc exp run` of mlp on digits in a temporary clone of the last commit, with 5 and 10 epochs; the requests
  are counted in the log of the server.

Without a name all three are measured. All on this machine: the clients share its cores with what they measure. The CPU
time is that of the server and the database, and depends less on what else runs than the rate.
"""

import argparse
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
from pipeline import ROOT, describe_machine, run

POSTGRES, SSHD = Path("/usr/lib/postgresql/15/bin"), Path("/usr/sbin/sshd")
METRICS = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate", "epoch_seconds"]
ARTIFACT = bytes(range(256)) * 64
EXPERIMENTS = 1_000
"""Experiments that each clone has to push."""
Send = Callable[[], object]


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="server, git or trial (default: all)")
    parser.add_argument("--seconds", type=float, default=20, metavar="S", help="seconds of a measurement (default: 20)")
    parser.add_argument("--clients", type=int, default=8, metavar="N", help="clients at once (default: 8)")
    given = parser.parse_args()
    parts = {"server": measure_servers, "git": measure_git, "trial": lambda folder, *_: count_requests(folder)}
    if unknown := set(given.parts) - set(parts):
        parser.error(f"unknown part {min(unknown)}; choose from {', '.join(parts)}")
    print(describe_machine(1))
    for name in given.parts or parts:
        with tempfile.TemporaryDirectory(prefix="reprocnn-", dir="/tmp") as folder:  # short, for the path of a socket
            Path(folder).chmod(0o755)  # PostgreSQL has another user
            print(f"\nload before {name}: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n", flush=True)
            parts[name](Path(folder), given.clients, given.seconds)
            print(f"\nload after it: {os.getloadavg()[0]:.1f}", flush=True)


# The tracking server


def measure_servers(folder: Path, clients: int, seconds: float) -> None:
    """Print the rate and the times of each kind of request, for each database."""
    print(f"| MLflow on | request, {clients} clients | per second | median | 95th percentile | failed | CPU time |")
    print("|---|---|---|---|---|---|---|", flush=True)
    stores = {"SQLite": sqlite, "PostgreSQL 15": postgres} if POSTGRES.exists() else {"SQLite": sqlite}
    for name, store in stores.items():
        own = folder / name.partition(" ")[0]
        own.mkdir(mode=0o755)
        with store(own) as uri, mlflow_server(own, uri) as (port, _):
            for what, begin in (
                ("create a run", creating),
                ("log the metrics of an epoch", logging),
                ("log an artifact of 16 KiB", uploading),
            ):
                sends, before = [begin(port) for _ in range(clients)], cpu_seconds()
                times, failed = load(sends, seconds)
                cost = 1000 * (cpu_seconds() - before) / (len(times) + failed)
                print(f"| {name} | {what} | {describe(times, seconds)} | {failed} | {cost:.0f} ms |", flush=True)


def cpu_seconds() -> float:
    """Return the CPU time of all processes that this one started."""
    return sum(sum(process.cpu_times()[:4]) for process in psutil.Process().children(recursive=True))


def load(sends: list[Send], seconds: float) -> tuple[list[float], int]:
    """Let clients send at once; return the times in seconds of what succeeded, and how many failed."""
    end = time.monotonic() + seconds

    def work(send: Send) -> tuple[list[float], int]:
        times, failed = [], 0
        while (begun := time.monotonic()) < end:
            try:
                send()
                times.append(time.monotonic() - begun)
            except (OSError, http.client.HTTPException, subprocess.CalledProcessError):
                failed += 1
        return times, failed

    with ThreadPoolExecutor(len(sends)) as pool:
        results = list(pool.map(work, sends))
    return [t for times, _ in results for t in times], sum(failed for _, failed in results)


def describe(times: list[float], seconds: float) -> str:
    """Return the cells of a table: rate, median and 95th percentile."""
    middle, high = (f"{1000 * t:.0f} ms" for t in np.percentile(times, [50, 95])) if times else ("-", "-")
    return f"{len(times) / seconds:.1f} | {middle} | {high}"


class Client:
    """A connection to MLflow's server that is kept open, as MLflow's own client does.

    Args:
        port: where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, method: str, path: str, body: bytes) -> bytes:
        """Send a request; return the answer.

        Raises:
            HTTPException: the server refused it.
        """
        kind = "application/json" if method == "POST" else "application/octet-stream"
        try:
            self._connection.request(method, path, body, {"Content-Type": kind})
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if answer.status != 200:
            raise http.client.HTTPException(f"{answer.status} {text[:300]!r}")
        return text

    def create_run(self) -> str:
        """Create a run with the tags that a training has; return its ID."""
        tags = [{"key": f"tag{number}", "value": "0123456789abcdef" * 2} for number in range(20)]
        body = {"experiment_id": "0", "run_name": "load", "start_time": int(time.time() * 1000), "tags": tags}
        answer = json.loads(self.send("POST", "/api/2.0/mlflow/runs/create", json.dumps(body).encode()))
        return str(answer["run"]["info"]["run_id"])


def creating(port: int) -> Send:
    """Return what creates a run."""
    client = Client(port)
    return client.create_run


def logging(port: int) -> Send:
    """Return what logs the metrics of the next epoch to a run of its own."""
    client = Client(port)
    run_id, epochs = client.create_run(), iter(range(1, 1_000_000))

    def send() -> None:
        epoch, now = next(epochs), int(time.time() * 1000)
        metrics = [{"key": key, "value": 1 / epoch, "timestamp": now, "step": epoch} for key in METRICS]
        body = {"run_id": run_id, "metrics": metrics, "params": [], "tags": []}
        client.send("POST", "/api/2.0/mlflow/runs/log-batch", json.dumps(body).encode())

    return send


def uploading(port: int) -> Send:
    """Return what logs the next artifact of a run of its own."""
    client = Client(port)
    run_id, numbers = client.create_run(), iter(range(1_000_000))
    path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run_id}/artifacts"
    return lambda: client.send("PUT", f"{path}/{next(numbers)}.bin", ARTIFACT)


@contextmanager
def mlflow_server(folder: Path, uri: str) -> Iterator[tuple[int, Path]]:
    """Run MLflow's server; yield its port and its log."""
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    places = ["--backend-store-uri", uri, "--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running([*command, *places], log, os.environ | own):
        wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close(), log)
        yield port, log


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """Yield the URI of a SQLite file."""
    yield f"sqlite:///{folder}/mlflow.db"


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run PostgreSQL with its default settings; yield the URI of a database."""
    port, data = free_port(), str(folder / "data")
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # it refuses to run as root
    if user:
        subprocess.run(["chown", "postgres:", folder], check=True)
    options = ["--username=mlflow", "--auth=trust", "--encoding=UTF8"]
    initialize = [*user, str(POSTGRES / "initdb"), "-D", data, *options]
    subprocess.run(initialize, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    command = [*user, str(POSTGRES / "postgres"), "-D", data, "-k", str(folder), "-h", "127.0.0.1", "-p", str(port)]
    with running(command, folder / "postgres.log", dict(os.environ)):
        create = [str(POSTGRES / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "mlflow"]
        wait_for(lambda: subprocess.run(create, check=True, stderr=subprocess.DEVNULL), folder / "postgres.log")
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/mlflow"


# The Git remote


def measure_git(folder: Path, clients: int, seconds: float) -> None:
    """Print how many experiments per second one repository takes."""
    print(f"| Git remote | {clients} clones | pushes per second | median | 95th percentile | failed |")
    print("|---|---|---|---|---|---|", flush=True)
    with ExitStack() as ends:
        remotes: dict[str, tuple[dict[str, str], str]] = {"by path": ({}, "")}
        if SSHD.exists():
            ssh, port = ends.enter_context(ssh_server(folder))
            remotes["by SSH"] = ({"GIT_SSH_COMMAND": ssh}, f"ssh://127.0.0.1:{port}")
        for name, (settings, host) in remotes.items():
            bare = folder / f"{name.split()[-1]}.git"
            run(folder, "git", "clone", "--quiet", "--bare", str(ROOT), str(bare))
            sends = [pushing(folder / f"{name}{number}", bare, f"{host}{bare}", settings) for number in range(clients)]
            times, failed = load(sends, seconds)
            print(f"| {name} | a push of one experiment | {describe(times, seconds)} | {failed} |", flush=True)


def pushing(clone: Path, bare: Path, url: str, settings: dict[str, str]) -> Send:
    """Return what pushes the next experiment of a new clone: a commit that changes params.yaml, and its ref."""
    run(clone.parent, "git", "clone", "--quiet", str(bare), str(clone))
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=clone, text=True).strip()
    prefix = f"refs/exps/{head[:2]}/{head[2:]}/{clone.name.replace(' ', '-')}"
    names = [f"{prefix}-{number}" for number in range(EXPERIMENTS)]
    commits = []
    for number, name in enumerate(names):
        text = f"learning_rate: {number}\n# {clone.name}\n"
        commits.append(
            f"commit {name}\ncommitter sweep <sweep@localhost> {1_700_000_000 + number} +0000\n"
            f"data 1\nx\nfrom {head}\nM 100644 inline params.yaml\ndata {len(text)}\n{text}\n"
        )
    subprocess.run(["git", "fast-import", "--quiet"], cwd=clone, input="".join(commits), text=True, check=True)
    refs, own = iter(names), os.environ | settings

    def send() -> None:
        ref = next(refs)
        subprocess.run(
            ["git", "push", "--quiet", url, f"{ref}:{ref}"], cwd=clone, env=own, capture_output=True, check=True
        )

    return send


@contextmanager
def ssh_server(folder: Path) -> Iterator[tuple[str, int]]:
    """Run sshd with keys of its own; yield the command of a client, and the port."""
    port = free_port()
    for name in ("key", "host"):
        run(folder, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\nPidFile none\n"
        "StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nMaxStartups 100\n"
    )
    needed = Path("/run/sshd")  # by a server that root starts; Debian creates it with the service
    is_new = os.geteuid() == 0 and not needed.exists()
    if is_new:
        needed.mkdir(mode=0o755)
    try:
        with running([str(SSHD), "-D", "-e", "-f", f"{folder}/sshd_config"], folder / "sshd.log", dict(os.environ)):
            wait_for(lambda: socket.create_connection(("127.0.0.1", port), timeout=5).close(), folder / "sshd.log")
            yield f"ssh -i {folder}/key -o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known -q", port
    finally:
        if is_new:
            needed.rmdir()


# A trial


def count_requests(folder: Path) -> None:
    """Print which requests a trial sends, by the log of the server."""
    clone = folder / "clone"
    run(folder, "git", "clone", "--quiet", str(ROOT), str(clone))
    counts: list[Counter[str]] = []
    taken: list[float] = []
    with sqlite(folder) as uri, mlflow_server(folder, uri) as (port, log):
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
        for epochs in (5, 10):
            known = len(requests(log))
            settings = ["-S", "model=mlp", "-S", f"epochs={epochs}"]
            taken.append(run(clone, sys.executable, "-m", "dvc", "exp", "run", "--name", f"count{epochs}", *settings))
            counts.append(Counter(requests(log)[known:]))
        files = [path.stat().st_size for path in (folder / "artifacts").rglob("*") if path.is_file()]
    print("| request | 5 epochs | 10 epochs |\n|---|---|---|")
    for name in sorted({*counts[0], *counts[1]}):
        print(f"| `{name}` | {counts[0][name]} | {counts[1][name]} |")
    print(f"| all | {counts[0].total()} | {counts[1].total()} |")
    print(f"| seconds, all stages that ran | {taken[0]:.0f} | {taken[1]:.0f} |")
    print(f"\nartifacts per trial: {len(files) / 2:.0f} files, {sum(files) / 2 / 1024:.0f} KiB")


def requests(log: Path) -> list[str]:
    """Return the requests in the log of MLflow's server, without what differs between runs."""
    found = re.findall(r'"(\w+) /(?:ajax-)?api/[\d.]+/(\S+) HTTP', log.read_text())
    names = [f"{method} {path.partition('?')[0]}" for method, path in found]
    return [re.sub(r"(mlflow-artifacts/artifacts|logged-models)/.*", r"\1/...", name) for name in names]


# Processes


@contextmanager
def running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a program in the background; kill it and its processes at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(attempt: Callable[[], object], log: Path) -> None:
    """Repeat an attempt until it raises no error."""
    for _ in range(1200):
        try:
            attempt()
            return
        except (OSError, subprocess.CalledProcessError):
            time.sleep(0.1)
    raise TimeoutError(log.read_text(errors="replace")[-2000:])


def free_port() -> int:
    """Return a port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
