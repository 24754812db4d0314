"""Start trials as Ray actors: on this machine, or on a cluster."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from reprocnn.commands.sweep.trial import News, Task, Trial
from reprocnn.errors import UserError
from reprocnn.masking import masked

_LOOK = 1.0
"""Seconds for which a trial waits for news."""
_CONNECT = 5.0
"""Seconds in which a machine has to accept a connection."""
_STOP = 40.0
"""Seconds in which trials have to stop."""
LOCAL = "local"
_LONGEST = 35
"""Characters that TMPDIR may have: Ray adds 68 to name its sockets, and macOS takes 103 (Linux 107)."""


class Running:
    """A trial that runs in a process of Ray. If the process or its machine dies, `news` raises `DiedError`.

    Args:
        task: what the trial is given.
        cpus: the cores that it takes.
        gpus: the GPUs that it takes.
    """

    def __init__(self, task: Task, cpus: int, gpus: float) -> None:
        import ray

        self._actor = ray.remote(Trial).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0).remote(task)
        self._known = 0
        self._look: Any = self._actor.look.remote(0, _LOOK)

    def news(self) -> News | None:
        """Return what is new; None if the trial still waits for a free machine, or nothing is new.

        Raises:
            DiedError: the process or its machine has died.
        """
        import ray

        ready, _ = ray.wait([self._look], timeout=0)
        if not ready:
            return None
        try:
            news: News = ray.get(self._look)
        except ray.exceptions.RayError as error:
            raise DiedError(masked(" ".join(str(error).split()))) from None
        self._known = len(news.epochs)
        if not news.ended:
            self._look = self._actor.look.remote(self._known, _LOOK)
        return news

    def begin_stop(self, *, pruned: bool = False) -> Any:
        """Begin to stop the trial; return what `ray.wait` waits for."""
        return self._actor.stop.remote(pruned=pruned)

    def close(self) -> None:
        """End the process of Ray."""
        import ray

        with suppress(ray.exceptions.RayError):
            ray.kill(self._actor)


def stop(trials: "list[Running]", *, pruned: bool = False) -> None:
    """Stop trials and their processes, all at once."""
    import ray

    stopping = [trial.begin_stop(pruned=pruned) for trial in trials]
    if stopping:
        ray.wait(stopping, num_returns=len(stopping), timeout=_STOP)
    for trial in trials:
        trial.close()


class DiedError(Exception):
    """The process of a trial, or its machine, has died."""


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Start Ray on this machine, or connect to a cluster, for the block.

    Args:
        address: `local`, `auto` or the address of a cluster.

    Raises:
        UserError: Ray does not answer.
    """
    import ray

    _check_answers(address)
    try:
        ray.init(
            address=address,
            namespace="reprocnn",
            log_to_driver=False,
            logging_level="ERROR",
            **(_local_settings() if address == LOCAL else {}),
        )
    except ray.exceptions.AuthenticationError:
        problem = f"Ray at --address {address} refuses connections without its token"
        fix = "export RAY_AUTH_MODE=token, with the head's ~/.ray/auth_token on this machine"
        raise UserError(problem, fix) from None
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        problem = f"Ray does not answer at --address {address}: {masked(' '.join(str(error).split()))[:300]}"
        fix = "start a node with `ray start --head`, or leave --address out: this machine"
        if address == LOCAL:
            fix = "Ray keeps its files in RAY_TMPDIR, else in TMPDIR: name a folder with a short path and free space"
        raise UserError(problem, fix) from None
    try:
        yield
    finally:
        ray.shutdown()


def _local_settings() -> dict[str, Any]:
    """Return what `ray.init` needs to start on this machine; it puts its sockets into `/tmp` if TMPDIR is too long."""
    settings: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False}
    if "RAY_TMPDIR" not in os.environ and len(tempfile.gettempdir()) > _LONGEST:
        settings["_temp_dir"] = "/tmp/ray"
    return settings


def _check_answers(address: str) -> None:
    """Check that something listens at an address with a port; Ray would try for minutes.

    Raises:
        UserError: nothing does.
    """
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    with suppress(ValueError):  # a wrong port
        if not (parts.hostname and parts.port):
            return
        try:
            socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT).close()
        except OSError as error:
            problem = f"nothing answers at --address {address}: {error.strerror or error}"
            raise UserError(problem, "start a node with `ray start --head`, and name its address") from None


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def capacity(cpus: int, gpus: float) -> int:
    """Return how many trials the machines can run at once."""
    import ray

    count = 0
    for node in ray.nodes():
        if node["Alive"]:
            resources = node["Resources"]
            places = [resources.get("CPU", 0) / cpus] + ([resources.get("GPU", 0) / gpus] if gpus else [])
            count += int(min(places))
    return count


def smallest() -> int:
    """Return the cores of the machine that has the fewest."""
    import ray

    return min(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
