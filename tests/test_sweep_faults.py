"""Kill workers, processes of trials and a whole node of a Ray cluster during a sweep: it ends as if nothing had been.

`make chaos EXTRA=--extra=sweep` runs these tests, too, and prints the table of docs/reproducibility.md.
"""

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

import psutil
import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from checkouts import Checkout, build_once
from conftest import Faults
from reprocnn.artifacts.files import md5

SHORT = {"model: deep_cnn": "model: mlp", "epochs: 10": "epochs: 1", "threads: 0": "threads: 1"}
LOOPBACK, HEAD, OTHER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""The addresses of the tracking server and of the two nodes. Ray replaces 127.0.0.1 by an address of the network."""
NODE_DOWN = 20.0
"""Seconds until a killed node is started again."""
PATIENCE = 900.0
"""Seconds in which anything that a test waits for has to happen."""
RAY = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}
"""Settings of Ray. By default its workers have a niceness of 15, so that they wait for anything else that runs."""


def _run_pipeline(checkout: Checkout) -> None:
    for old, new in SHORT.items():
        checkout.edit("params.yaml", old, new)
    checkout.run("dvc", "repro")
    checkout.commit("short run")


@pytest.fixture
def swept(shared: Path, tmp_path: Path) -> Checkout:
    """A checkout in which a short pipeline ran and was committed, with a Git remote and a DVC remote that have it."""
    checkout = build_once(shared / "short", _run_pipeline).copy(tmp_path / "checkout")
    checkout.run("git", "init", "-q", "--bare", str(tmp_path / "origin.git"))
    checkout.run("git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    checkout.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    checkout.commit("remote")
    checkout.run("git", "push", "-q", "origin", "main")
    checkout.run("dvc", "push")
    return checkout


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[str]:
    """The address of a tracking server."""
    folder = tmp_path / "server"
    folder.mkdir()
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "artifacts")]
    with _process(command, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, folder):
        _wait_for(lambda: _listens(port), "tracking server")
        yield f"http://{LOOPBACK}:{port}"


class Cluster:
    """Two Ray nodes on this machine, each with one core.

    Args:
        folder: for Ray's files and the logs; the path of a socket in it may have 107 characters.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"{HEAD}:{_free_port()}"

    def start(self, node: str) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus", "1", "--num-gpus", "0"]
        command += ["--node-ip-address", node, "--object-store-memory", "100000000"]
        port = self.address.split(":")[1]
        own = ["--head", "--port", port, "--include-dashboard", "false", "--temp-dir", str(self._folder)]
        command += own if node == HEAD else ["--address", self.address]
        log = self._folder / f"{node}-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            started = subprocess.Popen(command, env=_environment(RAY), stdout=output, stderr=output, cwd=self._folder)
        self._nodes[node] = started
        _wait_for(lambda: "Ray runtime started" in log.read_text() or started.poll() is not None, f"node {node}")
        assert started.poll() is None, log.read_text()

    def processes(self, part: str) -> list[psutil.Process]:
        """Return the processes that the nodes started whose command has a text."""
        return [process for node in self._nodes.values() for process in _descendants(node) if part in _command(process)]

    def kill(self, node: str) -> None:
        """Kill a node as if its power failed: Ray's processes, and all that they started."""
        _kill_tree(self._nodes.pop(node))

    def close(self) -> None:
        for node in list(self._nodes):
            self.kill(node)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    cluster = Cluster(folder)
    try:
        for node in (HEAD, OTHER):
            cluster.start(node)
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder)


def _write_grid(file: Path, seeds: Iterable[int]) -> None:
    """Write the file of a sweep with two trials per seed."""
    fixed = {"model": "mlp", "epochs": 1, "threads": 1, "robustness": False}
    space = {"seed": list(seeds), "learning_rate": [0.002, 0.005]}
    settings = {"sampler": "grid", "pruner": "none", "cpus": 1, "params": fixed, "space": space}
    YAML().dump(settings, file)


def _experiments(checkout: Checkout, remote: str = ".") -> list[str]:
    """Return the names of the refs of the trials."""
    return re.findall(r"refs/exps/../[0-9a-f]{38}/(grid-\S+)", checkout.run("git", "ls-remote", remote))


def _has_experiments(checkout: Checkout, count: int) -> bool:
    return len(_experiments(checkout, "origin")) >= count


def _models(checkout: Checkout) -> dict[tuple[int, float], str]:
    """Return the md5 of the model of each trial, by its seed and learning rate."""
    found = {}
    yaml = YAML(typ="safe")
    for ref in re.findall(r"refs/exps/\S+/grid-\S+$", checkout.run("git", "show-ref"), re.MULTILINE):
        params = yaml.load(checkout.run("git", "show", f"{ref}:params.yaml"))
        lock = yaml.load(checkout.run("git", "show", f"{ref}:dvc.lock"))
        [model] = [out["md5"] for out in lock["stages"]["train"]["outs"] if out["path"] == "models/model.keras"]
        found[params["seed"], params["learning_rate"]] = model
    return found


PARTS = {"worker": "ray::Trial", "dvc": "-m dvc exp run", "stage": " stages/"}
"""What may be killed of a trial, and a text in the command of the process."""


def _inject(cluster: Cluster, kind: str, faults: Faults) -> None:
    """Kill a process of this kind, or a node, which is started again a while later."""
    if kind == "node":
        cluster.kill(OTHER)
        time.sleep(NODE_DOWN)
        cluster.start(OTHER)
        return
    _wait_for(lambda: cluster.processes(PARTS[kind]), f"process to kill: {kind}")
    for process in faults.random.sample(cluster.processes(PARTS[kind]), 1):
        _kill(process)


@pytest.mark.chaos
@pytest.mark.sweep
@pytest.mark.parametrize(("trials", "kills", "is_shared"), [(50, 10, True), (8, 3, False)])
def test_a_sweep_on_a_cluster_whose_parts_are_killed_ends_like_one_that_nothing_killed(
    swept: Checkout,
    tracker: str,
    cluster: Cluster,
    faults: Faults,
    tmp_path: Path,
    trials: int,
    kills: int,
    is_shared: bool,
) -> None:
    trials, kills = faults.times(4, trials), faults.times(2, kills)
    quiet = swept.copy(tmp_path / "quiet")
    _write_grid(tmp_path / "grid.yaml", range(1, trials // 2 + 1))
    shared = ["--shared", str(tmp_path / "shared")] if is_shared else []
    command = [sys.executable, "-m", "reprocnn", "sweep", str(tmp_path / "grid.yaml")]
    log = tmp_path / "log"
    own = RAY | {"PYTHONPATH": str(swept.folder / "src")}
    kinds = ["node", *(list(PARTS)[number % len(PARTS)] for number in range(kills - 1))]
    faults.random.shuffle(kinds)
    start = time.monotonic()
    on_cluster = [*command, "--address", cluster.address, *shared]
    tracked = own | {"MLFLOW_TRACKING_URI": tracker}
    with log.open("wb") as output, _process(on_cluster, tracked, swept.folder, output) as sweep:
        for done, kind in zip(sorted(faults.random.sample(range(trials - 1), kills)), kinds, strict=True):
            _wait_for(partial(_has_experiments, swept, done), f"{done} trials", sweep)
            time.sleep(faults.random.uniform(0, 15))
            _inject(cluster, kind, faults)
            assert sweep.poll() is None, log.read_text()
        status = sweep.wait(trials * PATIENCE)
    seconds = time.monotonic() - start
    printed = log.read_text()
    print(printed)
    assert status == 0
    assert f"{trials} trials complete, 0 pruned, 0 failed" in printed
    _check_refs(swept, trials)
    _check_runs(tracker, trials)
    models = _models(swept)
    kept = [tmp_path / "store" / "files" / "md5" / each[:2] / each[2:] for each in models.values()]
    assert [md5(file) for file in kept] == list(models.values())
    [best] = re.findall(r"^best: .* with .*\bseed: (\d+)", printed, re.MULTILINE)
    _write_grid(tmp_path / "grid.yaml", {int(best), 1})
    print(quiet.run(*command, **own))
    expected = _models(quiet)
    assert {key: models[key] for key in expected} == expected
    repeated = printed.count("starting it again")
    assert repeated >= kills - 1  # a node that is killed may be between two trials
    assert not list(Path(tempfile.gettempdir()).glob("grid-*")), "clones are left"
    where = "with checkpoints in a shared folder" if is_shared else "without a shared folder"
    faults.record(
        f"SIGKILL of {', '.join(kinds)} in a sweep of {trials} trials on two Ray nodes {where}",
        kills,
        f"{trials} experiments and complete MLflow runs, none twice, {len(expected)} models, the best among them, "
        f"the same bytes as in a sweep that nothing killed; "
        f"{repeated} attempts were repeated; {seconds:.0f} s",
    )


def _check_refs(swept: Checkout, trials: int) -> None:
    """Check that each trial has one ref, here and in the Git remote."""
    for remote in (".", "origin"):
        names = _experiments(swept, remote)
        assert (len(names), len(set(names))) == (trials, trials), names


def _check_runs(tracker: str, trials: int) -> None:
    """Check that each trial has one run with all that the stages log, and that one run has them as children."""
    client = MlflowClient(tracker)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=1000)
    [parent] = [run for run in runs if run.data.tags.get("sweep.trial") == "none"]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert (len(runs), len(children)) == (trials + 1, trials)
    assert len({run.info.run_name for run in children}) == trials
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in children:
        assert run.data.tags["sweep.trial"] == "complete"
        assert {"train_loss", "validation_accuracy", "test_accuracy"} <= set(run.data.metrics), run.info.run_name
        assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 1
        assert "report.html" in [file.path for file in client.list_artifacts(run.info.run_id)], run.info.run_name


def _environment(own: dict[str, str]) -> dict[str, str]:
    return Checkout.environment() | own


@contextmanager
def _process(
    command: list[str], own: dict[str, str], folder: Path, output: IO[bytes] | int = subprocess.DEVNULL
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a process; at the end it and what it started are killed."""
    process = subprocess.Popen(command, env=_environment(own), cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        _kill_tree(process)


def _descendants(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def _kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all that it started, unless it has ended."""
    if process.poll() is None:
        found = _descendants(process)
        process.kill()
        for each in found:
            _kill(each)
        process.wait()


def _command(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def _wait_for(condition: Callable[[], object], what: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Wait until a condition holds, while a process runs."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"no {what} after {PATIENCE} s"
        assert process is None or process.poll() is None, f"the sweep has ended, no {what}"
        time.sleep(0.2)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as free:
        return int(free.getsockname()[1])
