"""Inject faults into real processes: the next run always ends with the same bytes and one MLflow run.

`make test` injects a few of the quick faults; `make chaos` injects many of all kinds and prints the table of outcomes.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import Checkout, Faults
from reprocnn.artifacts.files import md5

KILLER = Path(__file__).with_name("killer.py")
TRAINED = ("models/model.keras", "models/model.json", "reports/history.csv", "reports/training.json")
EPOCHS, BATCHES = 4, 41 + 1  # batches per epoch: training + validation
RENAMES = EPOCHS + 5  # a checkpoint per epoch; then model, card, history, metrics, environment


@pytest.fixture(scope="module")
def checkout(make_checkout: Callable[[], Checkout]) -> Checkout:
    """Provide a checkout with the committed result of a short pipeline."""
    made = make_checkout()
    made.edit("params.yaml", "model: deep_cnn", "model: simple_cnn")
    made.edit("params.yaml", "padding: auto", "padding: same")
    made.edit("params.yaml", "dropout: auto", "dropout: 0.2")
    made.edit("params.yaml", "epochs: 10", f"epochs: {EPOCHS}")
    made.run("dvc", "repro")
    made.commit("short run")
    return made


def _hashes(checkout: Checkout, names: tuple[str, ...]) -> dict[str, str]:
    return {name: md5(checkout.folder / name) for name in names}


def _runs(checkout: Checkout) -> list[tuple[str, str, list[int]]]:
    """Return name, status and epochs of each MLflow run, newest first."""
    code = (
        "import json; from reprocnn.ledger import store; c, e = store.connect()\n"
        "print('@' + json.dumps([(r.info.run_name, r.info.status, [m.step for m in"
        " c.get_metric_history(r.info.run_id, 'train_loss')]) for r in c.search_runs([e])]))"
    )
    printed = checkout.run("python", "-c", code, PYTHONPATH=str(checkout.folder / "src"))
    return [tuple(run) for run in json.loads(printed.split("@", 1)[1])]


def _run_killed(checkout: Checkout, stage: str, event: str, last: int) -> bool:
    """Run a stage and kill it at an event; return whether it was killed before its end."""
    command = [sys.executable, str(KILLER), stage, event, str(last)]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True, env=Checkout.environment())
    assert done.returncode in {0, -signal.SIGKILL}, done.stdout + done.stderr
    return done.returncode != 0


def test_a_killed_training_resumes_and_ends_with_the_same_bytes(checkout: Checkout, faults: Faults) -> None:
    expected = _hashes(checkout, TRAINED)
    before = len(_runs(checkout))
    moments = [
        *(("batch", faults.random.randrange(1, EPOCHS * BATCHES)) for _ in range(faults.times(1, 12))),
        *(("save", n) for n in faults.sample(range(1, EPOCHS + 1), 1, 4)),
        *(("rename", n) for n in faults.sample(range(1, RENAMES + 1), 1, 4)),
        *(("renamed", n) for n in faults.sample(range(1, RENAMES + 1), 0, 4)),
    ]
    resumed = 0
    for event, last in moments:
        assert _run_killed(checkout, "train", event, last), (event, last)
        printed = checkout.run("python", "stages/train.py")
        resumed += "resuming " in printed
        assert _hashes(checkout, TRAINED) == expected, (event, last)
        checkout.run("python", "stages/evaluate.py")  # DVC would start it after recording the training
        assert not list((checkout.folder / ".dvc/tmp/reprocnn/checkpoints").glob("*/"))
    runs = _runs(checkout)[: len(_runs(checkout)) - before]
    assert len(runs) == len(moments)  # each resumed in its own run
    for _, status, epochs in runs:
        assert status == "FINISHED"
        assert epochs == list(range(1, EPOCHS + 1))
    faults.record(
        "SIGKILL of train: in a batch, in a checkpoint, before and after each rename",
        len(moments),
        f"same bytes each time, {resumed} resumed from a checkpoint; one MLflow run each, every epoch once",
    )


def test_a_kill_before_dvc_recorded_the_training_does_not_retrain(checkout: Checkout) -> None:
    expected = _hashes(checkout, TRAINED)
    before = len(_runs(checkout))
    checkout.run("python", "stages/train.py")
    assert "resuming after its last epoch, 4 of 4" in checkout.run("python", "stages/train.py")
    assert _hashes(checkout, TRAINED) == expected
    assert len(_runs(checkout)) == before + 1
    checkout.run("python", "stages/evaluate.py")
    assert "resuming" not in checkout.run("python", "stages/train.py")
    checkout.run("python", "stages/evaluate.py")


def test_evaluate_and_plot_killed_between_files_write_the_same_bytes_next_time(
    checkout: Checkout, faults: Faults
) -> None:
    outs = {
        "evaluate": ("metrics.json", "per_class.csv", "confusion_matrix.csv", "predictions.csv"),
        "plot": ("report.html", "figures/curves.png", "figures/mistakes.png"),
    }
    times = 0
    for stage, names in outs.items():
        paths = tuple(f"reports/{name}" for name in names)
        expected = _hashes(checkout, paths)
        for event in ("rename", "renamed"):
            for last in faults.sample(range(1, 6), 1 if event == "rename" else 0, 3):
                assert _run_killed(checkout, stage, event, last)
                checkout.run("python", f"stages/{stage}.py")
                assert _hashes(checkout, paths) == expected
                times += 1
    left = [p for folder in ("reports", "models", "data") for p in (checkout.folder / folder).rglob("*.partial*")]
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


def _remove_cut_lock(checkout: Checkout) -> bool:
    """Remove DVC's lock file, as doctor advises, if dvc was killed while writing it; return whether it was."""
    file = checkout.folder / ".dvc/tmp/rwlock"
    try:
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        file.unlink()
        return True
    return False


def test_a_killed_pipeline_can_be_run_again(checkout: Checkout, faults: Faults) -> None:
    """Kill dvc or its stage at random moments and start the next dvc at once; the last one ends with the same bytes."""
    names = ("dvc.lock", *TRAINED, "reports/metrics.json", "reports/report.html")
    expected = _hashes(checkout, names)
    times, cut = faults.times(1, 3 * len(KILLS)), 0
    for number in range(times):
        kill, signal_ = list(KILLS.values())[number % len(KILLS)]
        process = subprocess.Popen(
            ["dvc", "repro", "--force", "--downstream", "train"],
            cwd=checkout.folder,
            env=Checkout.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(faults.random.uniform(3, 25))
        if process.poll() is None:
            kill(process.pid, signal_)
        process.wait()
        cut += _remove_cut_lock(checkout)
        if number % len(KILLS) == len(KILLS) - 1 or number == times - 1:
            checkout.run("dvc", "repro", "--force", "--downstream", "train")
            assert _hashes(checkout, names) == expected
    assert "up to date" in checkout.run("dvc", "status")
    assert checkout.run("git", "status", "--porcelain", "--untracked-files=no") == ""
    checkout.reprocnn("sync")
    assert not [run for run in _runs(checkout) if run[1] == "RUNNING"]
    faults.record(
        f"{', '.join(KILLS)}, 3 to 25 s after the start of `dvc repro`, the next `dvc repro` at once",
        times,
        "dvc.lock, model and reports the same bytes at the end; no MLflow run left running"
        + (f"; dvc was killed {cut} times as it wrote its own `.dvc/tmp/rwlock`, which was removed" if cut else ""),
    )


def test_a_full_disk_for_a_checkpoint_does_not_end_the_training(checkout: Checkout, faults: Faults) -> None:
    expected = _hashes(checkout, TRAINED)
    assert _run_killed(checkout, "train", "save", 2)
    (folder,) = (checkout.folder / ".dvc/tmp/reprocnn/checkpoints").glob("*/")
    (folder / "state.npz.partial").unlink()
    (folder / "state.npz.partial").symlink_to("/dev/full")
    printed = checkout.run("python", "stages/train.py")
    assert "resuming at epoch 2 of 4" in printed
    assert printed.count("warning: no checkpoint after epoch 2 (No space left on device)") == 1
    assert _hashes(checkout, TRAINED) == expected
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
    checkout: Checkout, faults: Faults
) -> None:
    def seconds(uri: str) -> float:
        start = time.monotonic()
        for stage in ("train", "evaluate", "plot"):
            checkout.run("python", f"stages/{stage}.py", MLFLOW_TRACKING_URI=uri)
        return time.monotonic() - start

    expected = _hashes(checkout, TRAINED)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    down = seconds(f"http://127.0.0.1:{port}")  # no server: the time of the stages themselves
    for name, server in {"takes 10 s for an answer": _slow_server, "never answers": _silent_server}.items():
        (checkout.folder / ".dvc/tmp/reprocnn/silent-tracker").unlink(missing_ok=True)
        with server() as uri:
            delay = seconds(uri) - down
        assert delay < 12, name  # 10 s and some tolerance for a busy machine
        assert _hashes(checkout, TRAINED) == expected
        faults.record(f"a tracking server that {name}", 1, f"train, evaluate and plot took {delay:.1f} s longer in all")
    checkout.reprocnn("sync")
    assert _runs(checkout)[0][1:] == ("FINISHED", list(range(1, EPOCHS + 1)))


@pytest.mark.chaos
def test_a_server_killed_during_training_loses_nothing(checkout: Checkout, faults: Faults) -> None:
    """After a restart of a real server, `sync` adds what is missing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = checkout.folder / "server"
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
        command, cwd=checkout.folder, env=Checkout.environment() | uri, stdout=subprocess.PIPE, text=True
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
        own = {"PYTHONPATH": str(checkout.folder / "src")}
        checkout.run("python", "-m", "reprocnn", "sync", **uri, **own)
        lines = checkout.run("python", "-m", "reprocnn", "runs", **uri, **own)
        assert re.search(r"workspace +run \w+  whole", lines), lines
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    faults.record("SIGKILL of a real tracking server in epoch 3", 1, "training ends; `sync` completes its run")


@pytest.mark.chaos
def test_eight_experiments_at_once_without_a_store(checkout: Checkout, faults: Faults) -> None:
    n = 8
    for way, start in {"--temp": _run_at_once, "--queue": _run_queued}.items():
        for path in checkout.folder.glob("mlflow.db*"):
            path.unlink()
        start(checkout, n)
        runs = [run for run in _runs(checkout) if run[0].startswith(way[2:])]
        assert len(runs) == n
        assert {run[1:2] for run in runs} == {("FINISHED",)}
        lines = checkout.reprocnn("runs")
        assert len(re.findall(rf"{way[2:]}\d +\w{{7}} +run \w+  whole", lines)) == n, lines
        faults.record(f"{n} experiments with `{way}` at once, on a store that does not exist", 1, f"{n} complete runs")


def _run_at_once(checkout: Checkout, n: int) -> None:
    command = ["dvc", "--wait-for-lock", "exp", "run", "--temp", "--force"]
    processes = [
        subprocess.Popen(
            [*command, "-n", f"temp{i}", "-S", f"seed={i + 1}"],
            cwd=checkout.folder,
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


def _run_queued(checkout: Checkout, n: int) -> None:
    for i in range(n):
        checkout.run("dvc", "exp", "run", "--queue", "-n", f"queue{i}", "-S", f"seed={i + 11}")
    checkout.run("dvc", "queue", "start", "-j", "4")
    for _ in range(600):
        time.sleep(1)
        status = checkout.run("dvc", "queue", "status")
        if "Queued" not in status and "Running" not in status:
            break
    assert status.count("Success") == n, status
