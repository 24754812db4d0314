"""Inject faults into real processes: the next run always ends with the same bytes and one MLflow run.

`make test` kills one training; `make test-all` injects one or a few of the quick faults; `make chaos` many of all, and
prints the table of docs/reproducibility.md.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from checkouts import Checkout, build_once
from conftest import Faults
from reprocnn.artifacts.files import md5

KILLER = Path(__file__).with_name("killer.py")
TRAINED = ("models/model.keras", "models/model.json", "reports/history.csv", "reports/training.json")
EPOCHS, READS = 4, 4 + 1  # reads of batches per epoch: training + validation
RENAMES = EPOCHS + 6  # a checkpoint per epoch; then model, card, ONNX model, history, metrics, environment


def _run_longer_pipeline(checkout: Checkout) -> None:
    checkout.edit("params.yaml", "model: deep_cnn", "model: simple_cnn")
    checkout.edit("params.yaml", "padding: auto", "padding: same")
    checkout.edit("params.yaml", "dropout: auto", "dropout: 0.2")
    checkout.edit("params.yaml", "epochs: 10", f"epochs: {EPOCHS}")
    checkout.run("dvc", "repro")
    checkout.commit("short run")


@pytest.fixture
def trained(shared: Path, tmp_path: Path) -> Checkout:
    """A checkout in which a pipeline with several epochs ran and was committed."""
    return build_once(shared / "trained", _run_longer_pipeline).copy(tmp_path / "checkout")


def _hashes(checkout: Checkout, names: tuple[str, ...]) -> dict[str, str]:
    return {name: md5(checkout.folder / name) for name in names}


def _killed(checkout: Checkout, stage: str, event: str, last: int) -> bool:
    """Run a stage that is killed at an event; False where it ended before."""
    command = [sys.executable, str(KILLER), stage, event, str(last)]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True, env=Checkout.environment())
    assert done.returncode in {0, -signal.SIGKILL}, done.stdout + done.stderr
    return done.returncode != 0


def test_a_killed_training_resumes_to_the_same_bytes_in_its_run(checkout: Checkout) -> None:
    """As the experiment `two`, which nothing interrupted."""
    checkout.run("dvc", "exp", "apply", "two")
    expected = _hashes(checkout, TRAINED)
    assert _killed(checkout, "train", "save", 2)
    assert "resuming at epoch 2 of 2" in checkout.run("python", "stages/train.py")
    assert _hashes(checkout, TRAINED) == expected
    run, *others = checkout.runs()
    assert len(others) == 2  # of the pipeline, and of `two`
    assert (run["status"], run["epochs"]) == ("FINISHED", [1, 2])


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bytes(trained: Checkout, faults: Faults) -> None:
    expected = _hashes(trained, TRAINED)
    before = len(trained.runs())
    moments = [
        *(("batch", faults.random.randrange(1, EPOCHS * READS)) for _ in range(faults.times(1, 12))),
        *(("save", n) for n in faults.sample(range(1, EPOCHS + 1), 1, 4)),
        *(("rename", n) for n in faults.sample(range(1, RENAMES + 1), 1, 4)),
        *(("renamed", n) for n in faults.sample(range(1, RENAMES + 1), 0, 4)),
    ]
    resumed = 0
    for event, last in moments:
        assert _killed(trained, "train", event, last), (event, last)
        printed = trained.run("python", "stages/train.py")
        resumed += "resuming " in printed
        assert _hashes(trained, TRAINED) == expected, (event, last)
        trained.run("python", "stages/evaluate.py")  # which DVC starts when it has recorded the training
        assert not list((trained.folder / ".dvc/tmp/reprocnn/checkpoints").glob("*/"))
    runs = trained.runs()[:-before]
    assert len(runs) == len(moments)  # each resumed in its own run
    for run in runs:
        assert run["status"] == "FINISHED"
        assert run["epochs"] == list(range(1, EPOCHS + 1))
    faults.record(
        "SIGKILL of train: in a batch, in a checkpoint, before and after each rename",
        len(moments),
        f"same bytes each time, {resumed} resumed from a checkpoint; one MLflow run each, every epoch once",
    )


@pytest.mark.slow
def test_a_kill_before_dvc_recorded_the_training_costs_no_training(trained: Checkout) -> None:
    expected = _hashes(trained, TRAINED)
    before = len(trained.runs())
    trained.run("python", "stages/train.py")
    assert "resuming after its last epoch, 4 of 4" in trained.run("python", "stages/train.py")
    assert _hashes(trained, TRAINED) == expected
    assert len(trained.runs()) == before + 1
    trained.run("python", "stages/evaluate.py")
    assert "resuming" not in trained.run("python", "stages/train.py")
    trained.run("python", "stages/evaluate.py")


@pytest.mark.slow
def test_evaluate_and_plot_killed_between_their_files_make_the_same_the_next_time(
    trained: Checkout, faults: Faults
) -> None:
    outs = {
        "evaluate": ("metrics.json", "per_class.csv", "coverage.csv", "predictions.csv", "robustness.csv"),
        "plot": ("report.html", "figures/curves.png", "figures/mistakes.png"),
    }
    times = 0
    for stage, names in outs.items():
        paths = tuple(f"reports/{name}" for name in names)
        expected = _hashes(trained, paths)
        for event in ("rename", "renamed"):
            for last in faults.sample(range(1, 6), 1 if event == "rename" else 0, 3):
                assert _killed(trained, stage, event, last)
                trained.run("python", f"stages/{stage}.py")
                assert _hashes(trained, paths) == expected
                times += 1
    left = [p for folder in ("reports", "models", "data") for p in (trained.folder / folder).rglob("*.partial*")]
    assert not left
    faults.record(
        "SIGKILL of evaluate and plot, before and after each rename", times, "same bytes, no part of a file left"
    )


def _signal_group(number: int, signal_: int) -> None:
    os.killpg(number, signal_)


def _signal_dvc(number: int, signal_: int) -> None:
    os.kill(number, signal_)


KILLS = {
    "SIGKILL of dvc alone": (_signal_dvc, signal.SIGKILL),
    "SIGKILL of dvc and its stage": (_signal_group, signal.SIGKILL),
    "SIGTERM of dvc alone": (_signal_dvc, signal.SIGTERM),
    "Ctrl-C": (_signal_group, signal.SIGINT),
}


FIXES = ("rm .dvc/tmp/rwlock", "git checkout HEAD -- dvc.lock", "rm .git/index.lock")
"""What doctor says where dvc was killed while it wrote a file."""
REPRO = ("dvc", "repro", "--force", "--downstream", "train")


def _go_on(trained: Checkout) -> int:
    """Run the pipeline; if dvc refuses half-written files, first do what doctor says. Return their number."""
    if "ERROR: " not in trained.run(*REPRO, fails=None):
        return 0
    said = trained.reprocnn("doctor", fails=True)
    fixes = [fix for fix in FIXES if fix in said]
    for fix in fixes:
        trained.run(*fix.split())
    trained.run(*REPRO)
    return len(fixes)


@pytest.mark.slow
def test_a_pipeline_that_was_killed_goes_on(trained: Checkout, faults: Faults) -> None:
    """Of dvc and of the stage, at random moments, the next dvc at once; then it ends as if nothing had been."""
    names = ("dvc.lock", *TRAINED, "reports/metrics.json", "reports/report.html")
    expected = _hashes(trained, names)
    times, cut = faults.times(1, 3 * len(KILLS)), 0
    for number in range(times):
        kill, signal_ = list(KILLS.values())[number % len(KILLS)]
        process = subprocess.Popen(
            REPRO,
            cwd=trained.folder,
            env=Checkout.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(faults.random.uniform(3, 25))
        if process.poll() is None:
            kill(process.pid, signal_)
        process.wait()
        if number % len(KILLS) == len(KILLS) - 1 or number == times - 1:
            cut += _go_on(trained)
            assert _hashes(trained, names) == expected
    assert "up to date" in trained.run("dvc", "status")
    assert trained.run("git", "status", "--porcelain", "--untracked-files=no") == ""
    trained.reprocnn("sync")
    assert not [run for run in trained.runs() if run["status"] == "RUNNING"]
    faults.record(
        f"{', '.join(KILLS)}, 3 to 25 s after the start of `dvc repro`, the next `dvc repro` at once",
        times,
        "dvc.lock, model and reports the same bytes at the end; no MLflow run left running"
        + (f"; dvc was killed {cut} times while it wrote a file, mended as `doctor` says" if cut else ""),
    )


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_checkpoint_does_not_end_the_training(trained: Checkout, faults: Faults) -> None:
    expected = _hashes(trained, TRAINED)
    assert _killed(trained, "train", "save", 2)
    (folder,) = (trained.folder / ".dvc/tmp/reprocnn/checkpoints").glob("*/")
    (folder / "state.npz.partial").unlink()
    (folder / "state.npz.partial").symlink_to("/dev/full")
    printed = trained.run("python", "stages/train.py")
    assert "resuming at epoch 2 of 4" in printed
    assert printed.count("warning: no checkpoint after epoch 2 (No space left on device)") == 1
    assert _hashes(trained, TRAINED) == expected
    faults.record("a disk that is full for a checkpoint (`/dev/full`)", 1, "one warning; same bytes")


class _SlowHandler(BaseHTTPRequestHandler):
    """A tracking server that fails after 10 s."""

    def do_GET(self) -> None:
        time.sleep(10)
        self.send_error(500)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _slow_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _SlowHandler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def _silent_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts connections but never answers
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.chaos
def test_a_tracker_that_is_slow_or_silent_delays_the_pipeline_by_at_most_ten_seconds(
    trained: Checkout, faults: Faults
) -> None:
    def seconds(uri: str) -> float:
        start = time.monotonic()
        for stage in ("train", "evaluate", "plot"):
            trained.run("python", f"stages/{stage}.py", MLFLOW_TRACKING_URI=uri)
        return time.monotonic() - start

    expected = _hashes(trained, TRAINED)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    down = seconds(f"http://127.0.0.1:{port}")  # nobody there: what the stages take by themselves
    for name, server in {"takes 10 s for an answer": _slow_server, "never answers": _silent_server}.items():
        (trained.folder / ".dvc/tmp/reprocnn/silent-tracker").unlink(missing_ok=True)
        with server() as uri:
            delay = seconds(uri) - down
        assert delay < 12, name  # 10, and what two cores vary by
        assert _hashes(trained, TRAINED) == expected
        faults.record(f"a tracking server that {name}", 1, f"train, evaluate and plot took {delay:.1f} s longer in all")
    trained.reprocnn("sync")
    run = trained.runs()[0]
    assert (run["status"], run["epochs"]) == ("FINISHED", list(range(1, EPOCHS + 1)))


@pytest.mark.chaos
def test_a_server_that_dies_in_the_middle_loses_nothing(trained: Checkout, faults: Faults) -> None:
    """A real server; what it missed is there after it came back and `sync`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = trained.folder / "server"
    folder.mkdir()
    serve = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    options = ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "artifacts")]
    environment = Checkout.environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def start() -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [*serve, *options], env=environment, start_new_session=True, cwd=folder, stderr=subprocess.DEVNULL
        )
        for _ in range(240):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            time.sleep(0.5)
        raise TimeoutError

    uri = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    server = start()
    command = [sys.executable, "stages/train.py"]
    with subprocess.Popen(
        command, cwd=trained.folder, env=Checkout.environment() | uri, stdout=subprocess.PIPE, text=True
    ) as training:
        assert training.stdout
        for line in training.stdout:
            if line.startswith("Epoch 3"):
                break
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        printed = training.stdout.read()
    assert training.returncode == 0
    assert "then: python -m reprocnn sync" in printed
    server = start()
    try:
        own = {"PYTHONPATH": str(trained.folder / "src")}
        trained.run("python", "-m", "reprocnn", "sync", **uri, **own)
        lines = trained.run("python", "-m", "reprocnn", "runs", **uri, **own)
        assert re.search(r"workspace +run \w+  complete", lines), lines
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    faults.record("SIGKILL of a real tracking server in epoch 3", 1, "training ends; `sync` completes its run")


@pytest.mark.chaos
def test_eight_experiments_at_once_on_a_fresh_store(trained: Checkout, faults: Faults) -> None:
    n = 8
    for way, start in {"--temp": _at_once, "--queue": _queued}.items():
        for path in trained.folder.glob("mlflow.db*"):
            path.unlink()
        start(trained, n)
        runs = [run for run in trained.runs() if run["name"].startswith(way[2:])]
        assert len(runs) == n
        assert {run["status"] for run in runs} == {"FINISHED"}
        lines = trained.reprocnn("runs")
        assert len(re.findall(rf"{way[2:]}\d +\w{{7}} +run \w+  complete", lines)) == n, lines
        faults.record(f"{n} experiments with `{way}` at once, on a store that does not exist", 1, f"{n} complete runs")


def _at_once(trained: Checkout, n: int) -> None:
    command = ["dvc", "--wait-for-lock", "exp", "run", "--temp", "--force"]
    processes = [
        subprocess.Popen(
            [*command, "-n", f"temp{i}", "-S", f"seed={i + 1}"],
            cwd=trained.folder,
            env=Checkout.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(n)
    ]
    for process in processes:
        printed, _ = process.communicate()
        assert process.returncode == 0, printed


def _queued(trained: Checkout, n: int) -> None:
    for i in range(n):
        trained.run("dvc", "exp", "run", "--queue", "-n", f"queue{i}", "-S", f"seed={i + 11}")
    trained.run("dvc", "queue", "start", "-j", "4")
    trained.wait_for_queue(n)
