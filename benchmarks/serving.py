"""Measure the server beside MLflow's: answers per second and their times, and what faults do.

Usage: python benchmarks/serving.py [MODEL] [--rounds N] [--seconds S] [--load S] [--kills N]

MODEL is an ONNX file for digits, by default models/model.onnx of `make run`. The load generator is part of this file:
16 connections of asyncio, each of which sends its next request as soon as it has the answer; every answer is checked.
Each round measures in turn `mlflow models serve` of the logged model `classifier`, /invocations and /predict. Then
it loads /predict for S seconds, and compares the memory before and after; and it kills the server under load and
starts it again, N times. It takes about 8 minutes.
"""

import argparse
import asyncio
import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from PIL import Image
from pipeline import describe_machine
from sklearn.datasets import load_digits

from reprocnn.inference.classifier import Classifier
from reprocnn.inference.pictures import read_picture
from reprocnn.ledger import store
from reprocnn.ledger.logged_models import save_classifier

CLIENTS, WARM_UP = 16, 2.0
Request = tuple[bytes, str]
"""What is sent, and the class that must come back."""


@dataclass
class Outcome:
    """What a load gave."""

    times: list[float] = field(default_factory=list)
    """Seconds of each right answer."""
    others: Counter[str] = field(default_factory=Counter)
    """Everything else -> how often."""


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, default=Path("models/model.onnx"), metavar="MODEL")
    for name, default, what in (
        ("rounds", 3, "measurements of each server"),
        ("seconds", 10, "seconds of a measurement"),
        ("load", 300, "seconds of load whose memory is compared"),
        ("kills", 10, "times that the server is killed under load"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: {default})")
    given = parser.parse_args()
    print(describe_machine(given.rounds))
    with tempfile.TemporaryDirectory() as folder:
        compare(given.model, Path(folder), given.rounds, given.seconds)
    compare_memory(given.model, given.load)
    kill_under_load(given.model, given.kills)


def compare(model: Path, folder: Path, rounds: int, seconds: float) -> None:
    """Print the table of answers per second and times of both servers."""
    np.save(folder / "images.npy", load_digits().images[:1, ..., np.newaxis].astype(np.uint8))
    save_classifier(model, folder / "images.npy", path=str(folder / "classifier"))
    pictures = digits(model)
    measured: dict[str, list[Outcome]] = {"mlflow models serve": [], "/invocations": [], "/predict": []}
    with mlflows_server(folder / "classifier") as (port, theirs), own_server(model) as (own_port, ours):
        for _ in range(rounds):
            measured["mlflow models serve"].append(asyncio.run(load(port, invocations(pictures), seconds)))
            measured["/invocations"].append(asyncio.run(load(own_port, invocations(pictures), seconds)))
            measured["/predict"].append(asyncio.run(load(own_port, predict(pictures), seconds)))
    print(f"\nready after {ours:.1f} s; mlflow models serve: {theirs:.1f} s")
    print("\n| 16 clients | answers/s | min to max | p50, ms | p99, ms | min to max | other than right |")
    print("|---|---|---|---|---|---|---|")
    for name, outcomes in measured.items():
        rates = [len(outcome.times) / seconds for outcome in outcomes]
        half, slow = ([1000 * np.percentile(outcome.times, q) for outcome in outcomes] for q in (50, 99))
        wrong = sum((outcome.others for outcome in outcomes), Counter())
        print(
            f"| {name} | {median(rates):.0f} | {min(rates):.0f} to {max(rates):.0f} | {median(half):.1f} "
            f"| {median(slow):.1f} | {min(slow):.1f} to {max(slow):.1f} | {sum(wrong.values())} {dict(wrong) or ''} |"
        )
    print_ratios(measured)


def print_ratios(measured: dict[str, list[Outcome]]) -> None:
    """Print throughput and p99 relative to MLflow's server, the median over rounds."""
    theirs = measured.pop("mlflow models serve")
    for name, outcomes in measured.items():
        pairs = list(zip(outcomes, theirs, strict=True))
        rate = median(len(own.times) / len(other.times) for own, other in pairs)
        slow = median(np.percentile(own.times, 99) / np.percentile(other.times, 99) for own, other in pairs)
        print(f"{name}: {rate:.1f} times the throughput of mlflow models serve, {slow:.2f} times its p99")


def compare_memory(model: Path, seconds: float) -> None:
    """Print the memory of the server before and after a load."""
    requests = predict(digits(model))
    with own_server(model) as (port, _):
        process = psutil.Process(listening(port))
        asyncio.run(load(port, requests, min(20, seconds)))
        before = process.memory_info().rss
        outcome = asyncio.run(load(port, requests, seconds))
        after = process.memory_info().rss
    print(
        f"\n{seconds:.0f} s of load, {len(outcome.times)} right answers, others: {dict(outcome.others) or 'none'}; "
        f"memory {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after ({100 * (after / before - 1):+.1f} %)"
    )


def kill_under_load(model: Path, kills: int) -> None:
    """Kill the server under load and start it again; print what the clients got."""
    port, requests = free_port(), predict(digits(model))

    async def killed() -> Outcome:
        loading = asyncio.create_task(load(port, requests, 3600))
        for _ in range(kills):
            process = await asyncio.to_thread(start, model, port)
            await asyncio.sleep(random.uniform(0.5, 1.5))
            process.kill()
            process.wait()
        loading.cancel()
        return await loading

    outcome = asyncio.run(killed())
    print(f"\nkilled {kills} times under load: {len(outcome.times)} right answers, others: {dict(outcome.others)}")


# The load


def digits(model: Path) -> list[tuple[str, str]]:
    """Return scikit-learn's first 200 digits as PNG in base64, and what the model says they are."""
    classifier, found = Classifier(model), []
    for image in load_digits().images[:200]:
        file = BytesIO()
        Image.fromarray((image * 255 / 16).astype(np.uint8)).save(file, "PNG")
        pixels = read_picture(classifier.info, "", file.getvalue)
        answer = classifier.class_names[classifier.probabilities(pixels[np.newaxis])[0].argmax()]
        found.append((base64.b64encode(file.getvalue()).decode(), answer))
    return found


def invocations(pictures: list[tuple[str, str]]) -> list[Request]:
    """Return a request of MLflow's clients for each picture."""
    tables = [{"dataframe_split": {"columns": ["image"], "data": [[picture]]}} for picture, _ in pictures]
    return [post("/invocations", json.dumps(t).encode(), p[1]) for t, p in zip(tables, pictures, strict=True)]


def predict(pictures: list[tuple[str, str]]) -> list[Request]:
    """Return a request to /predict for each picture, with its bytes as they are."""
    return [post("/predict", base64.b64decode(picture), answer, "image/png") for picture, answer in pictures]


def post(path: str, body: bytes, answer: str, kind: str = "application/json") -> Request:
    """Return a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body, answer


async def load(port: int, requests: list[Request], seconds: float) -> Outcome:
    """Send requests with 16 connections for some seconds, after a warm-up that does not count."""
    outcome, start = Outcome(), time.monotonic() + WARM_UP
    clients = [
        asyncio.create_task(client(port, requests[number::CLIENTS], (start, start + seconds), outcome))
        for number in range(CLIENTS)
    ]
    try:
        await asyncio.gather(*clients)
    except asyncio.CancelledError:
        await asyncio.gather(*clients, return_exceptions=True)
    return outcome


async def client(port: int, requests: list[Request], between: tuple[float, float], outcome: Outcome) -> None:
    """Send requests one after another; connect again where the connection ends."""
    start, end = between
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            outcome.others[type(error).__name__] += 1
            await asyncio.sleep(0.05)
            continue
        try:
            while (sent := time.monotonic()) < end:
                request, expected = random.choice(requests)
                writer.write(request)
                said = await answer(reader)
                if said != expected:
                    outcome.others[f"wrong: {said}"] += 1
                elif sent >= start:
                    outcome.times.append(time.monotonic() - sent)
        except (OSError, asyncio.IncompleteReadError) as error:
            outcome.others[type(error).__name__] += 1
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> str:
    """Read an answer; return its class, or its status if that is not 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    if (status := head[9:12].decode()) != "200":
        return status
    said = json.loads(body)
    return str((said["answers"] if "answers" in said else said["predictions"])[0]["class"])


# The servers


@contextmanager
def own_server(model: Path) -> Iterator[tuple[int, float]]:
    """Run this project's server; yield its port, and the seconds until it was ready."""
    port, begun = free_port(), time.monotonic()
    process = start(model, port)
    took = time.monotonic() - begun
    try:
        yield port, took
    finally:
        process.terminate()
        process.wait()


def start(model: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start this project's server and wait until it is ready."""
    command = [sys.executable, "-m", "reprocnn", "serve", "--model", str(model), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(f"http://127.0.0.1:{port}/ready")
    return process


@contextmanager
def mlflows_server(folder: Path) -> Iterator[tuple[int, float]]:
    """Run MLflow's server of a saved model; yield its port, and the seconds until it was ready."""
    port, begun = free_port(), time.monotonic()
    options = ["-m", str(folder), "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    own = os.environ | store.settings() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
    process = subprocess.Popen(
        command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping")
        yield port, time.monotonic() - begun
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(address: str) -> None:
    """Wait until a server answers."""
    for _ in range(2400):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(address)


def free_port() -> int:
    """Return a port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> int:
    """Return the ID of the process that listens on a port."""
    return next(c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port and c.pid)


if __name__ == "__main__":
    main()
