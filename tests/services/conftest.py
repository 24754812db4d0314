"""Fixtures: the services of a team, running."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemons import Daemon, Postgres, Ssh, Store, Tracker


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[Daemon | Store], None]]:
    """Starts a service, and kills it after the tests of the module."""
    with ExitStack() as ends:

        def start(service: Daemon | Store) -> None:
            ends.callback(service.kill)
            service.start()

        yield start


@pytest.fixture(scope="module")
def postgres(started: Callable[[Daemon], None]) -> Iterator[Postgres]:
    """PostgreSQL; its data are in /tmp because its user can't enter the folders of the tests."""
    with tempfile.TemporaryDirectory(prefix="reprocnn-", dir="/tmp") as folder:
        database = Postgres(Path(folder))
        yield database
        database.kill()


@pytest.fixture(scope="module")
def store(started: Callable[[Store], None], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that speaks S3."""
    made = Store(tmp_path_factory.mktemp("store"))
    started(made)
    return made


@pytest.fixture(scope="module")
def tracker(
    started: Callable[[Daemon], None], postgres: Postgres, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Tracker:
    """MLflow's server on both."""
    made = Tracker(tmp_path_factory.mktemp("tracker"), postgres, store)
    started(made)
    return made


@pytest.fixture(scope="module")
def ssh(started: Callable[[Daemon], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssh]:
    """An SSH server."""
    needed = Path("/run/sshd")  # by a server that root starts; Debian creates it with the service
    is_new = os.geteuid() == 0 and not needed.exists()
    if is_new:
        needed.mkdir(mode=0o755)
    made = Ssh(tmp_path_factory.mktemp("ssh"))
    started(made)
    yield made
    if is_new:
        needed.rmdir()
