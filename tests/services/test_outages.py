"""Experiments of a team log to its server while each of its services fails: nothing is lost or there twice."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from checkouts import Checkout
from conftest import Faults
from daemons import Daemon, Postgres, Store, Tracker, kill, until, users
from reprocnn.artifacts.files import md5, read_json
from reprocnn.ledger.mirror import HASHES, mlflow_name

pytestmark = [pytest.mark.service, pytest.mark.slow]
TEAM = ("ana", "ben")
PASSWORD = "a-word-of-a-member"
EACH = 4
"""Experiments of a member."""
LIMIT = 900
"""Longest wait in seconds for an event, on a machine with other work."""
EXPERIMENTS = [f"{who}{number}" for who in TEAM for number in range(EACH)]


class Member(Checkout):
    """A checkout of a member of the team, who logs in to the server."""

    def __init__(self, folder: Path, login: dict[str, str]) -> None:
        super().__init__(folder)
        self.login = login | {"MLFLOW_EXPERIMENT_NAME": "team"}

    def run(self, *command: str, fails: bool | None = False, **environment: str) -> str:
        return super().run(*command, fails=fails, **self.login, **environment)

    def start(self, name: str, seed: int) -> "subprocess.Popen[bytes]":
        """Start an experiment."""
        command = ["dvc", "--wait-for-lock", "exp", "run", "--temp", "-n", name, "-S", f"seed={seed}", "-S", "epochs=2"]
        with self._output(name).open("wb") as output:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment() | self.login, stdout=output, stderr=subprocess.STDOUT
            )

    def printed(self) -> str:
        """What the experiments of all members have printed so far."""
        return "".join(file.read_text() for file in sorted(self._output("").parent.glob("*.output")))

    def _output(self, name: str) -> Path:
        return self.folder.with_name(f"{name}.output")


@pytest.fixture(scope="module")
def team(finished: Checkout, tracker: Tracker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Member]:
    """Two members, each with a login that may write to the experiment `team`."""
    folder = tmp_path_factory.mktemp("team")
    members = {}
    for name in TEAM:
        users(tracker, "add", name, typed=f"{PASSWORD}\n")
        users(tracker, "allow", name, "--experiment", "team")
        members[name] = Member(finished.copy(folder / name).folder, tracker.login(name, PASSWORD))
    return members


@pytest.fixture
def experiments(team: dict[str, Member]) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Experiments of both members, all started at once."""
    started = [
        team[who].start(f"{who}{number}", 10 * TEAM.index(who) + number + 1) for who in TEAM for number in range(EACH)
    ]
    yield started
    for process in started:
        kill(process)


@pytest.fixture
def client(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A client of the administrator."""
    for name, value in tracker.administrator.items():
        monkeypatch.setenv(name, value)
    return MlflowClient()


def _cut_off(service: Daemon, team: dict[str, Member], experiments: list["subprocess.Popen[bytes]"]) -> None:
    """Kill a service until a stage of an experiment has warned, and start it again."""

    def warned() -> bool:
        return team[TEAM[0]].printed().count("warning: the MLflow run is incomplete") > before

    before = team[TEAM[0]].printed().count("warning: the MLflow run is incomplete")
    service.kill()
    until(lambda: warned() or not _running(experiments), f"a warning without {service.command[0]}", LIMIT)
    assert warned(), f"all experiments ended without a warning, although {service.command[0]} was killed"
    service.start()


def _running(experiments: list["subprocess.Popen[bytes]"]) -> bool:
    return any(process.poll() is None for process in experiments)


def _artifacts(client: MlflowClient, run_id: str, path: str = "") -> Iterator[str]:
    """Yield the paths of the files of a run."""
    for entry in client.list_artifacts(run_id, path):
        if entry.is_dir:
            yield from _artifacts(client, run_id, entry.path)
        else:
            yield entry.path


def _metrics(names: Iterable[str]) -> set[str]:
    """The metrics of a run, without those of the machine and those that only a live run can have."""
    return {name for name in names if not name.startswith("system/") and name != "epoch_seconds"}


def test_nothing_is_lost_and_nothing_is_there_twice(
    finished: Checkout,
    team: dict[str, Member],
    experiments: list["subprocess.Popen[bytes]"],
    tracker: Tracker,
    postgres: Postgres,
    store: Store,
    client: MlflowClient,
    faults: Faults,
    tmp_path: Path,
) -> None:
    def runs() -> int:
        return int(postgres.rows("SELECT count(*) FROM runs")[0][0])

    until(lambda: runs() >= 1, "the first run", LIMIT)
    for service in (store.gate, postgres, tracker):
        _cut_off(service, team, experiments)
    for process in experiments:
        assert process.wait() == 0, team[TEAM[0]].printed()
    live = runs()
    for member in team.values():
        member.reprocnn("sync")
    for who, member in team.items():
        lines = member.reprocnn("runs")
        assert len(re.findall(rf"{who}\d .* run \w+  complete", lines)) == EACH, lines

    before = finished.runs()  # what both clones have from the start
    (like,) = (run for run in before if run["name"] == "two")
    (experiment,) = client.search_experiments(filter_string="name = 'team'")
    found = client.search_runs([experiment.experiment_id])
    assert Counter(run.info.run_name for run in found) == Counter([*EXPERIMENTS, *(run["name"] for run in before)])
    for run in (run for run in found if run.info.run_name in EXPERIMENTS):
        assert run.info.status == "FINISHED"
        for name in ("train_loss", "validation_accuracy", "learning_rate"):
            assert [m.step for m in client.get_metric_history(run.info.run_id, name)] == [1, 2]
        assert _metrics(run.data.metrics) == _metrics(like["metrics"])
        _check_files(client, run.info.run_id, tmp_path / run.info.run_name)
    faults.record(
        "SIGKILL of PostgreSQL and of MLflow's server, the S3 store cut off, while 8 experiments of two clones log",
        3,
        f"{live} of 10 runs were there before `sync`; then each once, with every epoch, metric and file",
    )


def _check_files(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Check that the store has the files of a run, with their content."""
    folder.mkdir()
    names = set(_artifacts(client, run_id))
    hashes = read_json(Path(client.download_artifacts(run_id, HASHES, str(folder))))["artifacts"]
    assert {mlflow_name(name) for name in hashes} <= names
    for name, expected in hashes.items():
        assert md5(Path(client.download_artifacts(run_id, mlflow_name(name), str(folder)))) == expected
