"""The server: what it answers, what it refuses, and how it starts and ends. Needs the packages of the extra `serve`."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import requests
from PIL import Image

from bad_requests import BAD, Bad, grey_png
from checkouts import ROOT
from reprocnn.artifacts.files import md5
from servers import JSON, PNG, Server, as_base64, png, read, serving
from tiny_model import COLOURS, tiny_info, write_tiny_model

pytestmark = pytest.mark.serve
RED, GREEN, BLUE = (png(COLOURS[name]) for name in ("red", "green", "blue"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    """A server with the default limits."""
    with serving(model.parent, "--model", str(model)) as running:
        yield running


# Answers


def _classes(said: Any) -> list[str]:
    return [answer["class"] for answer in said["answers"]]


def test_an_image_as_it_is_gets_the_answer_of_predict_with_the_model_and_the_time(server: Server, model: Path) -> None:
    said = server.post("/predict?top=2&min_confidence=0.99", RED, PNG)
    assert said.status == 200, said
    (answer,) = said.json["answers"]
    asked = ["--json", "--top", "2", "--min-confidence", "0.99"]
    printed = subprocess.run(
        [sys.executable, "-m", "reprocnn", "predict", "-", "--model", str(model), *asked],
        input=RED,
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert answer | {"file": "-"} == json.loads(printed.stdout)
    assert (answer["class"], answer["unsure"]) == ("red", True)
    expected = {"hash": md5(model), "dataset": "colours", "architecture": "linear"}
    assert said.json["model"] == expected | {"experiment": None, "registry_version": None}
    assert 0 < said.json["seconds"] < 60


def test_files_of_a_form_are_answered_in_their_order_with_their_names(server: Server) -> None:
    files = [("image", ("ä b.png", GREEN)), ("other", ("../../etc/passwd", BLUE)), ("image", ("c.png", RED))]
    said = requests.post(f"{server.address}/predict", files=files, timeout=60).json()
    assert _classes(said) == ["green", "blue", "red"]
    assert [answer["file"] for answer in said["answers"]] == ["ä b.png", "../../etc/passwd", "c.png"]


@pytest.mark.parametrize("values", [{"image": as_base64(BLUE)}, {"images": [as_base64(BLUE), as_base64(RED)]}])
def test_images_as_base64_in_json(server: Server, values: dict[str, Any]) -> None:
    said = server.post("/predict", json.dumps(values), JSON | {"Content-Type": "application/json; charset=utf-8"})
    assert _classes(said.json) == ["blue", "red"][: len(values.get("images", [1]))]


def test_calibrated_answers_have_the_temperature_of_the_model(server: Server) -> None:
    (plain,) = server.post("/predict?top=1", RED, PNG).json["answers"]
    (calibrated,) = server.post("/predict?top=1&calibrated=true", RED, PNG).json["answers"]
    assert plain["confidence"] == pytest.approx(0.988, abs=1e-3)
    assert calibrated["confidence"] == pytest.approx(0.865, abs=1e-3)


def test_a_body_in_chunks_needs_no_length(server: Server) -> None:
    parts = iter([RED[:20], RED[20:]])
    assert _classes(requests.post(f"{server.address}/predict", data=parts, headers=PNG, timeout=60).json()) == ["red"]


TABLES: list[dict[str, Any]] = [
    {"dataframe_split": {"columns": ["image"], "data": [[as_base64(RED)], [as_base64(BLUE)]]}},
    {
        "dataframe_split": {
            "index": [7, 9],
            "columns": ["n", "image"],
            "data": [[1, as_base64(RED)], [2, as_base64(BLUE)]],
        }
    },
    {"dataframe_split": {"columns": ["image"], "data": [as_base64(RED), as_base64(BLUE)]}},
    {"dataframe_records": [{"image": as_base64(RED), "n": 1}, {"image": as_base64(BLUE)}]},
    {"inputs": {"image": [as_base64(RED), as_base64(BLUE)]}},
    {"inputs": [as_base64(RED), as_base64(BLUE)]},
    {"instances": [{"image": as_base64(RED)}, {"image": as_base64(BLUE)}], "params": {}},
    {"inputs": {"image": as_base64(RED)}},
    {"dataframe_split": {"columns": ["image"], "data": []}},
]


@pytest.fixture(scope="module")
def pyfunc(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The logged model `classifier` with the same ONNX file."""
    import mlflow.pyfunc

    from reprocnn.ledger.logged_models import save_classifier

    folder = tmp_path_factory.mktemp("pyfunc") / "classifier"
    save_classifier(model, None, path=str(folder))
    return mlflow.pyfunc.load_model(folder.as_uri())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{next(iter(table))}-{len(str(table))}")
def test_invocations_answers_what_mlflows_server_answers(server: Server, pyfunc: Any, table: dict[str, Any]) -> None:
    from mlflow.pyfunc.scoring_server import invocations

    body = json.dumps(table)
    expected = json.loads(invocations(body, "application/json", pyfunc, pyfunc.metadata.get_input_schema()).response)
    said = server.post("/invocations", body, JSON).json
    assert list(said) == list(expected) == ["predictions"]
    assert len(said["predictions"]) == len(expected["predictions"])
    for row, other in zip(said["predictions"], expected["predictions"], strict=True):
        assert list(row) == list(other)
        assert row["class"] == other["class"]
        assert [row["confidence"], *row["probabilities"]] == pytest.approx(
            [other["confidence"], *other["probabilities"]]
        )


def test_mlflows_own_client_can_be_pointed_here(server: Server) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    client = ScoringServerClient("127.0.0.1", server.port)
    client.ping()
    table = pd.DataFrame({"image": [as_base64(GREEN), as_base64(BLUE)]})
    assert list(client.invoke(table).get_predictions()["class"]) == ["green", "blue"]


# States


def _values(server: Server) -> dict[str, float]:
    """The numbers of /metrics, by name and labels."""
    lines = [line for line in server.get("/metrics").body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_it_is_ready_within_three_seconds_and_does_not_import_tensorflow(server: Server) -> None:
    assert server.started < 3
    assert server.get("/health").json == {"status": "ok"}
    assert server.get("/ready").json == {"status": "ready"}
    maps = Path(f"/proc/{server.process.pid}/maps")
    if maps.exists():
        assert "tensorflow" not in maps.read_text()


def test_the_metrics_count_requests_answers_and_name_the_model(server: Server, model: Path) -> None:
    before = _values(server)
    server.post("/predict", json.dumps({"images": [as_base64(RED), as_base64(RED), as_base64(BLUE)]}), JSON)
    server.post("/predict", b"text", PNG)
    server.get("/wp-login.php")
    after = _values(server)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('reprocnn_requests_total{path="/predict",status="200"}') == 1
    assert more('reprocnn_requests_total{path="/predict",status="422"}') == 1
    assert more('reprocnn_requests_total{path="other",status="404"}') == 1
    assert more('reprocnn_answers_total{class="red"}') == 2
    assert more('reprocnn_answers_total{class="blue"}') == 1
    assert more('reprocnn_request_seconds_count{path="/predict"}') == 2
    assert after['reprocnn_model_loads_total{result="loaded"}'] == 1
    (version,) = [name for name in after if name.startswith("reprocnn_model{")]
    assert f'hash="{md5(model)}"' in version
    assert after["process_resident_memory_bytes"] > 0


def test_the_log_has_a_line_per_request_without_the_picture_and_no_line_that_a_client_wrote(server: Server) -> None:
    secret = as_base64(png((1, 2, 3)))
    server.post("/predict?top=1", json.dumps({"image": secret}), JSON)
    size = len(json.dumps({"image": secret}))
    assert "127.0.0.1 POST /predict 200, 1 images" in server.logged(f"{size} bytes")
    server.get("/%0A2026-01-01%20forged\xff".encode("latin-1").decode("latin-1").replace("\xff", "%FF"))
    assert "GET /%0A2026-01-01%20forged%FF 404" in server.logged("forged")
    text = server.log.read_text()
    assert secret[:20] not in text
    assert "top=1" not in text


def test_broken_bodies_add_nothing_to_the_log_but_their_line(model: Path) -> None:
    tiff = BytesIO()
    Image.new("RGB", (9, 9)).save(tiff, "TIFF")
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    with serving(model.parent, "--model", str(model)) as server:
        assert server.post("/predict", tiff.getvalue()[:33], PNG).status == 422  # Pillow warns of it
        assert server.post("/predict", b"--x\r\nContent\x80: a\r\n\r\nb\r\n--x--", form).status == 400
        server.logged(" 400, ")
        lines = server.log.read_text().splitlines()
    assert [line.split()[3:6] for line in lines] == [["POST", "/predict", "422,"], ["POST", "/predict", "400,"]]


def test_the_description_has_examples_that_work(server: Server) -> None:
    described = server.get("/openapi.json").json
    for path in ("/predict", "/invocations"):
        contents = described["paths"][path]["post"]["requestBody"]["content"]
        for example in contents["application/json"]["examples"].values():
            assert server.post(path, json.dumps(example["value"]), JSON).status == 200
    answer = server.post("/predict", RED, PNG).json
    assert set(described["components"]["schemas"]["Answers"]["required"]) == set(answer)
    assert set(described["components"]["schemas"]["Answer"]["required"]) == set(answer["answers"][0])


# Bad requests


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_request_gets_its_status_and_a_reason_and_the_server_goes_on(server: Server, bad: Bad) -> None:
    said = requests.post(f"{server.address}{bad.path}", data=bad.body, headers=bad.headers, timeout=60)
    text = said.json()["message"] if bad.path == "/invocations" else f"{said.json()['error']}; {said.json()['fix']}"
    assert (said.status_code, bad.reason in text) == (bad.status, True), text
    assert len(text) < 400
    assert _classes(server.post("/predict", GREEN, PNG).json) == ["green"]


# Limits


def _raw(server: Server, text: bytes) -> socket.socket:
    """Open a connection and send bytes."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(text)
    return connection


def _head(length: int, path: str = "/predict") -> bytes:
    headers = f"Host: localhost\r\nContent-Type: image/png\r\nContent-Length: {length}"
    return f"POST {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode()


def _until_closed(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def _inside(server: Server) -> float:
    return _values(server)["reprocnn_requests_inside"]


@pytest.fixture(scope="module")
def strict(model: Path) -> Iterator[Server]:
    """A server with low limits."""
    limits = ["--max-seconds", "1", "--max-bytes", "2000", "--max-pixels", "1000", "--max-images", "2"]
    with serving(model.parent, "--model", str(model), *limits, "--max-waiting", "2") as running:
        yield running


def test_each_limit_can_be_set(strict: Server) -> None:
    form = [("image", ("a.png", RED))]
    for body, status, reason in [
        ({"data": bytes(2001), "headers": PNG}, 413, "more than 2,000 bytes"),
        ({"data": iter([bytes(1500), bytes(1500)]), "headers": PNG}, 413, "more than 2,000 bytes"),
        ({"data": png(size=(40, 40)), "headers": PNG}, 413, "40x40 is more than 1,000 pixels"),
        ({"files": form * 3}, 413, "more than 2 images"),
    ]:
        said = requests.post(f"{strict.address}/predict", timeout=60, **body)
        assert (said.status_code, reason in said.json()["error"]) == (status, True), said.text
    assert requests.post(f"{strict.address}/predict", files=form * 2, timeout=60).status_code == 200


def test_a_slow_body_gets_408_and_the_connection_is_closed(strict: Server) -> None:
    with _raw(strict, _head(100) + RED[:10]) as connection:
        received = _until_closed(connection)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"not complete after 1 s" in received
    assert "POST /predict 408, 0 images, 10 bytes" in strict.logged(" 408,")


@pytest.mark.parametrize("sent", [b"", b"POST /predict HTTP/1.1\r\nHost: loc"], ids=["nothing", "half of the headers"])
def test_a_connection_without_a_request_is_closed(strict: Server, sent: bytes) -> None:
    with _raw(strict, sent) as connection:
        received = _until_closed(connection)
    assert received.startswith(b"HTTP/1.1 408 ") == bool(sent)


def test_a_client_that_goes_away_in_a_request_leaves_nothing(strict: Server) -> None:
    _raw(strict, _head(100) + RED[:10]).close()
    strict.logged("POST /predict 499, 0 images, 10 bytes")
    assert _inside(strict) == 0


def test_a_client_that_does_not_read_its_answers_is_disconnected(strict: Server) -> None:
    """Else they would stay in the memory of the server."""
    asked = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with _raw(strict, asked * 20) as connection:
        own = connection.getsockname()[1]
        process = psutil.Process(strict.process.pid)
        strict.logged("swagger-ui-bundle.js 200")
        _wait(lambda: not [one for one in process.net_connections() if one.raddr and one.raddr.port == own])
    assert strict.get("/health").status == 200


def test_a_request_that_is_out_of_time_stops_at_the_next_image(model: Path) -> None:
    """Else two requests of 200 images, which need minutes, would stop the server."""
    bomb = as_base64(grey_png(7000, 7000))
    body = json.dumps({"images": [bomb] * 200})
    with serving(model.parent, "--model", str(model), "--max-seconds", "2") as server:
        with ThreadPoolExecutor(4) as asking:
            said = list(asking.map(lambda _: server.post("/predict", body, JSON), range(4)))
        assert [one.status for one in said] == [503] * 4
        assert said[0].headers["retry-after"] == "1"
        _wait(lambda: server.post("/predict", RED, PNG).status == 200)


RAW = {
    "no http": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "a negative length": b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "headers of a megabyte": b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "a broken chunk": b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("text", RAW.values(), ids=RAW)
def test_what_is_no_http_gets_400_and_the_server_goes_on(server: Server, text: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        with suppress(OSError):  # it may close before it has read everything
            connection.sendall(text)
        with suppress(ConnectionResetError):
            received = _until_closed(connection)
            assert received.startswith(b"HTTP/1.1 4"), received
    assert server.post("/predict", GREEN, PNG).status == 200


def test_too_many_requests_get_429_until_one_ends(strict: Server) -> None:
    waiting = [_raw(strict, _head(len(RED)) + RED[:10]) for _ in range(2)]
    try:
        _wait(lambda: _inside(strict) == 2)
        refused = strict.post("/predict", RED, PNG)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert "2 requests are waiting" in refused.json["error"]
        assert strict.get("/ready").status == 503
        assert strict.get("/health").status == 200
        for connection in waiting:
            connection.sendall(RED[10:])
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert _classes(read(response).json) == ["red"]
    finally:
        for connection in waiting:
            connection.close()
    _wait(lambda: strict.get("/ready").status == 200)


def test_keep_alive_and_requests_sent_in_advance(strict: Server) -> None:
    request = _head(len(RED)) + RED
    with _raw(strict, request * 3) as connection:
        for _ in range(3):
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert _classes(read(response).json) == ["red"]


# Who may ask

TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def guarded(model: Path) -> Iterator[Server]:
    """A server with a token."""
    with serving(model.parent, "--model", str(model), "--host", "0.0.0.0", REPROCNN_SERVE_TOKEN=TOKEN) as running:
        yield running


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_without_the_token_nothing_is_answered(guarded: Server, given: str | None) -> None:
    headers = PNG if given is None else PNG | {"Authorization": given}
    for path in ("/predict", "/invocations", "/nothing"):
        said = guarded.post(path, RED, headers)
        assert (said.status, said.headers["www-authenticate"]) == (401, "Bearer")
    assert guarded.get("/metrics", {} if given is None else {"Authorization": given}).status == 401


def test_with_the_token_any_host_and_page_may_ask(guarded: Server) -> None:
    headers = PNG | {"Authorization": f"Bearer {TOKEN}", "Origin": "https://pictures.example"}
    said = guarded.post("/predict", RED, headers, host="models.example")
    assert _classes(said.json) == ["red"]
    assert not [name for name in said.headers if name.startswith("access-control-")]
    for path in ("/", "/health", "/ready", "/docs", "/openapi.json"):
        assert guarded.get(path).status == 200
    assert "HTTPBearer" in guarded.get("/openapi.json").json["components"]["securitySchemes"]
    assert TOKEN not in guarded.log.read_text()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "192.168.0.1", ""])
def test_without_a_token_another_host_is_refused(server: Server, host: str) -> None:
    said = server.post("/predict", RED, PNG, host=host)
    assert (said.status, "is not this machine" in said.json["error"]) == (403, True)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "[::1]:8000", "127.0.0.2"])
def test_without_a_token_names_of_this_machine_are_hosts(server: Server, host: str) -> None:
    assert server.post("/predict", RED, PNG, host=host).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
def test_without_a_token_pages_of_other_sites_are_refused(server: Server, origin: str) -> None:
    said = server.post("/predict", RED, PNG | {"Origin": origin})
    assert (said.status, "sent this" in said.json["error"]) == (403, True)
    preflight = server.ask("OPTIONS", "/predict", None, {"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status == 403
    assert not [name for name in said.headers | preflight.headers if name.startswith("access-control-")]


def test_the_servers_own_page_may_ask(server: Server) -> None:
    assert server.post("/predict", RED, PNG | {"Origin": server.address}).status == 200


# Start and end


def _fails(folder: Path, *arguments: str, **environment: str) -> str:
    own = os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment
    command = [sys.executable, "-m", "reprocnn", "serve", *arguments]
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_does_not_start_where_anybody_could_connect(model: Path) -> None:
    error = _fails(model.parent, "--model", str(model), "--host", "0.0.0.0")
    assert "error: --host 0.0.0.0 lets other machines connect, and there is no token" in error
    assert "export REPROCNN_SERVE_TOKEN=" in error
    for token in ("short", f"{TOKEN}\u00e9", f"{TOKEN} ", f"{TOKEN}\r"):
        assert "16, all of them ASCII" in _fails(model.parent, "--model", str(model), REPROCNN_SERVE_TOKEN=token)


def test_a_taken_port_and_a_missing_model_are_errors_with_a_fix(server: Server, model: Path) -> None:
    error = _fails(model.parent, "--model", str(model), "--port", str(server.port))
    assert f"port {server.port} of 127.0.0.1: Address already in use" in error
    assert "  fix: " in error
    too_long = _fails(model.parent, "--model", str(model), "--host", "\u00e9" * 80, REPROCNN_SERVE_TOKEN=TOKEN)
    assert "\u00e9: encoding of hostname failed" in too_long
    assert "the model /nowhere.onnx does not exist" in _fails(model.parent, "--model", "/nowhere.onnx")


def test_sigterm_finishes_what_was_begun(model: Path) -> None:
    with serving(model.parent, "--model", str(model)) as server, _raw(server, _head(len(RED)) + RED[:10]) as connection:
        _wait(lambda: _inside(server) == 1)
        server.process.send_signal(signal.SIGTERM)
        _wait(lambda: _is_refused(server))
        assert server.process.poll() is None
        connection.sendall(RED[10:])
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert _classes(read(response).json) == ["red"]
        assert server.process.wait(30) == 143


def _is_refused(server: Server) -> bool:
    try:
        server.get("/health")
    except ConnectionRefusedError:
        return True
    return False


def test_ctrl_c_ends_it_at_once(model: Path) -> None:
    with serving(model.parent, "--model", str(model)) as server, _raw(server, b""):
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 130


# A new model


def test_a_new_file_is_served_without_a_failed_request_and_a_broken_one_is_not(
    model: Path, tmp_path: Path, make_model: Callable[[str, str], Path]
) -> None:
    path = tmp_path / "served.onnx"
    path.write_bytes(model.read_bytes())
    stopped, seen = threading.Event(), []
    with serving(tmp_path, "--model", str(path), "--watch", "0.05") as server:

        def ask() -> None:
            while not stopped.is_set():
                said = server.post("/predict?top=1", RED, PNG)
                seen.append((said.status, said.json["model"]["hash"], said.json["answers"][0]["class"]))

        asking = [threading.Thread(target=ask) for _ in range(2)]
        for thread in asking:
            thread.start()
        (tmp_path / "broken").write_bytes(b"no model")
        (tmp_path / "broken").replace(path)
        server.logged("the new model can't be served, the old one stays: not a valid ONNX file")
        swapped = make_model("rot", "blau")
        new = md5(swapped)
        swapped.replace(path)
        server.logged(f"now serving model {new}")
        _wait(lambda: seen[-1][1] == new)
        stopped.set()
        for thread in asking:
            thread.join()
        values = _values(server)
    assert {status for status, *_ in seen} == {200}
    assert {(hash, answer) for _, hash, answer in seen} == {(md5(model), "red"), (new, "rot")}
    assert values['reprocnn_model_loads_total{result="failed"}'] == 1
    assert values['reprocnn_model_loads_total{result="loaded"}'] == 2


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a model of two colours with other names."""

    def make(red: str, blue: str) -> Path:
        colours = {red: COLOURS["red"], blue: COLOURS["blue"]}
        return write_tiny_model(tmp_path / "new.onnx", colours, tiny_info(colours))

    return make
