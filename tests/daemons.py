"""Start the services of a team on this machine, kill them, start them again: PostgreSQL, MLflow, S3, SSH.

MLflow's server gets the arguments and variables of deploy/compose.yaml, with addresses of this machine.
"""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from ruamel.yaml import YAML

from checkouts import ROOT, Checkout

DEPLOY = ROOT / "deploy"
POSTGRES = Path("/usr/lib/postgresql/15/bin")
SSHD = Path("/usr/sbin/sshd")
S3 = os.environ.get("REPROCNN_TEST_S3", "")
"""The address of a store that speaks S3, with its credentials in AWS's variables; empty: moto's."""
BUCKET = "mlflow"
SECRETS = {
    "POSTGRES_PASSWORD": "of-the-database",
    "MLFLOW_ADMIN_PASSWORD": "of-the-administrator",
    "MLFLOW_SECRET_KEY": "of-the-sessions",
    "GARAGE_RPC_SECRET": "of-the-nodes",
    "S3_ACCESS_KEY": os.environ.get("AWS_ACCESS_KEY_ID", "of-the-key"),
    "S3_SECRET_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "of-the-store"),
}
"""The values of deploy/.env in the tests."""


def until(is_true: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait for something; fail if it does not come."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    """Return whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Daemon:
    """A program in the background.

    Args:
        command: the program and its arguments.
        folder: where it runs, and its log is.
        is_ready: whether it answers.
        environment: all its environment variables.
        user: who runs it; empty: who runs the tests.
    """

    def __init__(
        self,
        command: list[str],
        folder: Path,
        is_ready: Callable[[], bool],
        environment: dict[str, str],
        *,
        user: str = "",
    ) -> None:
        self.command, self.environment = command, environment
        self._folder, self._is_ready = folder, is_ready
        self._user = {"user": user, "group": user, "extra_groups": []} if user else {}
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self._folder, env=self.environment, stdout=log, stderr=log, **self._user
            )
        until(lambda: self._process.poll() is not None or self._is_ready(), f"{self.command[0]} answers")  # type: ignore[union-attr]
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        """Kill it and its processes with SIGKILL, as a power cut does; does nothing if it does not run."""
        if self._process:
            kill(self._process)


def kill(process: "subprocess.Popen[Any]") -> None:
    """Kill a process and those that it started with SIGKILL; does nothing if it has ended."""
    if process.poll() is None:
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for other in started:
            with suppress(psutil.NoSuchProcess):
                other.kill()
        process.wait()
        _, left = psutil.wait_procs(started, timeout=30)
        assert not left


def _unprivileged() -> str:
    """Who runs PostgreSQL, which refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else ""


class Postgres(Daemon):
    """PostgreSQL with the databases `mlflow` and `auth`.

    Args:
        folder: an empty folder for its data, which its user can reach; its name is short, for the path of a socket.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.variables = {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "mlflow",
            "PGPASSWORD": SECRETS["POSTGRES_PASSWORD"],
        }
        user = _unprivileged()
        data = folder / "data"
        command = [str(POSTGRES / "postgres"), "-D", str(data), "-k", str(folder), "-h", "127.0.0.1", "-p"]
        super().__init__([*command, str(self.port)], folder, self._accepts, dict(os.environ), user=user)
        password = folder / "password"
        password.write_text(SECRETS["POSTGRES_PASSWORD"])
        if user:
            subprocess.run(["chown", "-R", f"{user}:", str(folder)], check=True)
        own: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
        options = ["--username=mlflow", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--encoding=UTF8"]
        create = [str(POSTGRES / "initdb"), "-D", str(data), *options]
        subprocess.run(create, check=True, cwd=folder, stdout=subprocess.DEVNULL, **own)
        self.start()
        self.run("psql", "--dbname=postgres", "--command=CREATE DATABASE mlflow")  # as its image does
        self.run("psql", "--dbname=postgres", f"--file={DEPLOY / 'auth.sql'}")

    def _accepts(self) -> bool:
        done = subprocess.run([str(POSTGRES / "pg_isready")], env=os.environ | self.variables, capture_output=True)
        return done.returncode == 0

    def run(self, program: str, *arguments: str) -> str:
        """Run a client of PostgreSQL; return what it printed."""
        command = [str(POSTGRES / program), *arguments]
        done = subprocess.run(command, env=os.environ | self.variables, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def rows(self, query: str, database: str = "mlflow") -> list[list[str]]:
        """Return the rows of a query."""
        printed = self.run("psql", f"--dbname={database}", "--tuples-only", "--no-align", f"--command={query}")
        return [line.split("|") for line in printed.splitlines()]


class Store:
    """A store that speaks S3, with an empty bucket, behind a gate that can be closed and opened.

    Args:
        folder: where its log is.
    """

    def __init__(self, folder: Path) -> None:
        own, gate = free_port(), free_port()
        self._server = (
            None
            if S3
            else Daemon(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(own)],
                folder,
                lambda: answers(own),
                Checkout.environment(),
            )
        )
        address = urlsplit(S3 or f"http://127.0.0.1:{own}")
        leads_to = [str(address.hostname), str(address.port)]
        program = str(ROOT / "tests/gate.py")
        self.gate = Daemon(
            [sys.executable, program, str(gate), *leads_to], folder, lambda: answers(gate), Checkout.environment()
        )
        self.url = f"http://127.0.0.1:{gate}"

    def start(self) -> None:
        """Start it and create the bucket."""
        if self._server:
            self._server.start()
        self.gate.start()
        self.client().create_bucket(Bucket=BUCKET)

    def kill(self) -> None:
        """Kill it; what is in it is lost."""
        self.gate.kill()
        if self._server:
            self._server.kill()

    def client(self) -> Any:
        """Return a client."""
        import boto3

        keys = {
            "aws_access_key_id": SECRETS["S3_ACCESS_KEY"],
            "aws_secret_access_key": SECRETS["S3_SECRET_KEY"],
            "region_name": "us-east-1",
        }
        return boto3.client("s3", endpoint_url=self.url, **keys)


class Tracker(Daemon):
    """MLflow's server as deploy/compose.yaml starts it, on other ports.

    Args:
        folder: where its log is.
        database: its databases.
        store: the store of its artifacts.
        **more: further environment variables.
    """

    def __init__(self, folder: Path, database: Postgres, store: Store, **more: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        service = compose({**SECRETS, "MLFLOW_HOSTS": f"127.0.0.1:{self.port}"})["services"]["mlflow"]
        program, *arguments = service["command"]
        own = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={self.port}"}
        command = [sys.executable, "-m", program, *(own.get(argument, argument) for argument in arguments)]
        environment = {
            **Checkout.environment(),
            **service["environment"],
            **database.variables,
            "MLFLOW_AUTH_CONFIG_PATH": str(DEPLOY / "auth.ini"),
            "MLFLOW_S3_ENDPOINT_URL": store.url,
            **more,
        }
        super().__init__(command, folder, self._is_healthy, environment)

    def _is_healthy(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def login(self, user: str, password: str) -> dict[str, str]:
        """Return the variables with which a user reaches it."""
        return {
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
        }

    @property
    def administrator(self) -> dict[str, str]:
        """Return the variables with which the administrator reaches it."""
        return self.login("admin", SECRETS["MLFLOW_ADMIN_PASSWORD"])


def users(tracker: Tracker, *command: str, typed: str = "") -> None:
    """Run deploy/users.py as the administrator.

    Args:
        tracker: the server.
        *command: the arguments.
        typed: what comes on standard input.
    """
    done = subprocess.run(
        [sys.executable, str(DEPLOY / "users.py"), *command],
        env=Checkout.environment() | tracker.administrator,
        input=typed,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def compose(values: dict[str, str]) -> Any:
    """Return deploy/compose.yaml, with values for its variables.

    Args:
        values: what deploy/.env has.
    """

    def value(found: re.Match[str]) -> str:
        name, _, default = found[1].partition(":-")
        return values.get(name.partition(":?")[0], default)

    text = re.sub(r"\$\{([^}]+)\}", value, (DEPLOY / "compose.yaml").read_text())
    return YAML(typ="safe").load(text)


class Ssh(Daemon):
    """An SSH server with keys of its own, on which whoever runs the tests can log in with a key.

    Args:
        folder: where its keys, its log and the home of its users are.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.key = folder / "key"
        for name in ("key", "host"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        settings = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "key.pub",
            "PidFile": "none",
            "StrictModes": "no",  # the folders above are those of temporary files
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "Subsystem": "sftp internal-sftp",
        }
        (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        command = [str(SSHD), "-D", "-e", "-f", str(folder / "sshd_config")]
        super().__init__(command, folder, lambda: answers(self.port), Checkout.environment())
