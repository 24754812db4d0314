"""The logged model `classifier`: what it answers, where this project is not installed, and what is linked to it."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reprocnn import cli
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import MODEL, ONNX_MODEL
from reprocnn.artifacts.split import RAW_TEST
from reprocnn.ledger import record, store
from reprocnn.ledger.logged_models import CLASSIFIER
from reprocnn.ledger.mirror import Mirror, find
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG
from reprocnn.ledger.record import Record
from tiny_model import tiny_info, write_tiny_model

ANSWERS = {"dark": 20, "bright": 230}


def _picture(shade: int) -> str:
    """Return a picture of one shade, of another size and colour mode than the model takes, as PNG in base64."""
    png = BytesIO()
    Image.new("RGB", (40, 30), (shade, shade, shade)).save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()


def _picture_16_bits() -> str:
    """Return a picture with 16 bits per channel in base64."""
    png = BytesIO()
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(png, "PNG")
    return base64.b64encode(png.getvalue()).decode()


@pytest.fixture
def made(trained: Path) -> Record:
    """Provide the record of a result with an ONNX file and test images."""
    colours = {name: (shade,) for name, shade in ANSWERS.items()}
    write_tiny_model(ONNX_MODEL, colours, tiny_info(colours, size=(8, 8)))
    RAW_TEST.mkdir(parents=True)
    np.save(RAW_TEST / "images.npy", np.full((3, 8, 8, 1), ANSWERS["bright"], np.uint8))
    origin = {EXPERIMENT_TAG: "exp-a", BASELINE_TAG: "abc"}
    made = record.of_folder(Path(), "exp-a", origin, md5(MODEL), ("evaluate", "plot"))
    made.model = None  # the fixture has no real Keras model
    made.hashes, made.test_md5 = {"data/processed/train": "a" * 32 + ".dir"}, "b" * 32 + ".dir"
    return made


def _mirror(made: Record) -> Mirror:
    client, experiment_id = store.connect()
    return Mirror(client, experiment_id, find(client, experiment_id, made))


def _logged(made: Record) -> mlflow.entities.LoggedModel:
    client = store.connect()[0]
    (output,) = client.get_run(str(_mirror(made).run_id)).outputs.model_outputs
    return client.get_logged_model(output.model_id)


def _folder(made: Record) -> Path:
    return Path(_logged(made).artifact_location.removeprefix("file://"))


# What it answers


def _run_outside(code: str, folder: Path) -> str:
    """Run code in a process in which `reprocnn` can't be imported; return what it prints."""
    start = (
        "import sys\n"
        "class Absent:\n"
        "    @staticmethod\n"
        "    def find_spec(name, *_):\n"
        "        if name.split('.')[0] == 'reprocnn': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent)\n"
    )
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", start + code]
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_classifies_pictures_where_this_project_is_not_installed(made: Record, tmp_path: Path) -> None:
    _mirror(made).complete(made)
    code = (
        "import json, mlflow, pandas as pd\n"
        f"model = mlflow.pyfunc.load_model({_folder(made).as_uri()!r})\n"
        f"answer = model.predict(pd.DataFrame({{'image': {[_picture(shade) for shade in ANSWERS.values()]}}}))\n"
        "print(json.dumps([answer.to_dict('list'), sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    answer, modules = json.loads(_run_outside(code, tmp_path).splitlines()[-1])
    assert answer["class"] == ["dark", "bright"]
    assert answer["confidence"] == [max(row) for row in answer["probabilities"]]
    assert [sum(row) for row in answer["probabilities"]] == pytest.approx([1, 1], abs=1e-6)
    assert not {"reprocnn", "tensorflow", "keras"} & set(modules)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no base64!", "row 1 of the column `image`: expected the bytes of an image file in base64, found other text"),
        (base64.b64encode(b"text").decode(), "row 1 of the column `image`: not an image that Pillow can read"),
        ("", "row 1 of the column `image`: empty file"),
        (
            _picture_16_bits(),
            r"row 1 .*which value is white \(largest value 1000\); save it with 8 bits per channel, or",
        ),
    ],
)
def test_a_value_that_is_no_picture_is_an_error_that_names_its_row(made: Record, value: str, problem: str) -> None:
    _mirror(made).complete(made)
    model = mlflow.pyfunc.load_model(_folder(made).as_uri())
    with pytest.raises(mlflow.MlflowException, match=problem):
        model.predict(pd.DataFrame({"image": [_picture(20), value]}))


def test_base64_may_be_broken_into_lines_and_a_table_may_be_empty(made: Record) -> None:
    _mirror(made).complete(made)
    model = mlflow.pyfunc.load_model(_folder(made).as_uri())
    text = base64.encodebytes(base64.b64decode(_picture(230))).decode()
    assert "\n" in text
    assert list(model.predict(pd.DataFrame({"image": [text]}))["class"]) == ["bright"]
    assert list(model.predict(pd.DataFrame({"image": pd.Series([], dtype=str)}))["class"]) == []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _served(model_uri: str) -> Iterator[str]:
    """Serve a model with `mlflow models serve` and yield the address of the server."""
    port = _free_port()
    options = ["-m", model_uri, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
    own = {**os.environ, **store.settings(), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    server = subprocess.Popen(command, env=own, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            assert server.poll() is None
            assert time.monotonic() < deadline
            try:
                urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _post(address: str, pictures: list[str]) -> dict[str, list[dict[str, object]]]:
    body = {"dataframe_split": {"columns": ["image"], "data": [[picture] for picture in pictures]}}
    request = Request(f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_mlflow_serves_it(made: Record) -> None:
    _mirror(made).complete(made)
    with _served(f"models:/{_logged(made).model_id}") as address:
        answer = _post(address, [_picture(shade) for shade in ANSWERS.values()])["predictions"]
        assert [row["class"] for row in answer] == ["dark", "bright"]
        assert set(answer[0]) == {"class", "confidence", "probabilities"}
        with pytest.raises(HTTPError) as refused:
            _post(address, ["no base64!"])
        assert refused.value.code == 400
        assert "row 0 of the column `image`" in refused.value.read().decode()


# What is logged


def test_it_has_a_signature_a_real_picture_as_example_and_requirements_without_tensorflow(made: Record) -> None:
    _mirror(made).complete(made)
    folder = _folder(made)
    model = mlflow.models.Model.load(folder)
    assert model.signature.inputs.input_names() == ["image"]
    assert model.signature.outputs.input_names() == ["class", "confidence", "probabilities"]
    example = model.load_input_example(str(folder))
    picture = Image.open(BytesIO(base64.b64decode(example["image"][0])))
    assert (picture.size, picture.mode, picture.getpixel((0, 0))) == ((8, 8), "L", ANSWERS["bright"])
    assert list(mlflow.pyfunc.load_model(folder.as_uri()).predict(example)["class"]) == ["bright"]
    packages = {line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    assert packages == {"mlflow", "onnxruntime", "pillow", "simplejpeg", "numpy"}
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*")}
    assert {"mlflow_model.py", "code/reprocnn_inference/classifier.py", "artifacts/model.onnx"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pyc", "uv.lock"))]


def test_without_any_picture_it_is_logged_without_an_example(made: Record) -> None:
    made.pictures = None
    assert CLASSIFIER in _mirror(made).complete(made)
    model = mlflow.models.Model.load(_folder(made))
    assert model.saved_input_example_info is None
    assert model.signature.inputs.input_names() == ["image"]


def test_the_file_may_be_a_link_to_dvcs_cache(made: Record, tmp_path_factory: pytest.TempPathFactory) -> None:
    cached = ONNX_MODEL.rename(tmp_path_factory.mktemp("cache") / "0123abc")
    ONNX_MODEL.symlink_to(cached)
    assert CLASSIFIER in _mirror(made).complete(made)
    (logged,) = _folder(made).rglob("*.onnx")
    assert not logged.is_symlink()
    assert md5(logged) == md5(cached)


def test_a_thread_logs_it_without_an_active_run_and_without_changing_the_environment(
    made: Record, environment_changes: list[str]
) -> None:
    mirror = _mirror(made)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(mirror.complete, made).result()[-1] == CLASSIFIER
    assert environment_changes == []
    assert mlflow.active_run() is None
    assert _mirror(made).complete(made) == []
    logged = _logged(made)
    assert (logged.name, logged.status, logged.source_run_id) == (CLASSIFIER, "READY", mirror.run_id)
    assert logged.params["epochs"] == "10"


def test_an_upload_that_failed_is_finished_by_the_next_one(made: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("gone")

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(mlflow.MlflowClient, "log_model_artifacts", fail)
        _mirror(made).complete(made)
    unfinished = _logged(made)
    assert unfinished.status == "PENDING"
    assert [name for name, _ in _mirror(made).missing(made)] == [CLASSIFIER]
    assert _mirror(made).complete(made) == [CLASSIFIER]
    finished = _logged(made)
    assert (finished.model_id, finished.status) == (unfinished.model_id, "READY")


def test_a_deleted_one_is_logged_again_with_its_metrics(made: Record) -> None:
    _mirror(made).complete(made)
    client = store.connect()[0]
    client.delete_logged_model(_logged(made).model_id)
    mirror = _mirror(made)
    assert mirror.complete(made) == ["metrics", CLASSIFIER]
    assert _mirror(made).complete(made) == []
    assert len(client.get_metric_history(str(mirror.run_id), "test_accuracy")) == 1


# What is linked


def test_the_metrics_are_linked_to_it_and_the_test_metrics_to_the_test_images(made: Record) -> None:
    _mirror(made).complete(made)
    metrics = {metric.key: metric for metric in _logged(made).metrics}
    tested = metrics["test_accuracy"]
    assert (tested.value, tested.dataset_name, tested.dataset_digest) == (0.5, "digits", made.test_md5)
    assert metrics["best_epoch"].dataset_name is None
    client, experiment_id = store.connect()
    data = [{"dataset_name": "digits", "dataset_digest": made.test_md5}]
    (found,) = client.search_logged_models([experiment_id], "metrics.test_accuracy > 0.4", datasets=data)
    assert found.name == CLASSIFIER
    other = [{"dataset_name": "digits", "dataset_digest": "c" * 32}]
    assert client.search_logged_models([experiment_id], "metrics.test_accuracy > 0.4", datasets=other) == []


def test_a_new_value_of_a_metric_is_linked_too(made: Record) -> None:
    _mirror(made).complete(made)
    made.final["test_accuracy"] = 0.75
    assert "metrics" in _mirror(made).complete(made)
    assert _mirror(made).complete(made) == []
    assert {metric.value for metric in _logged(made).metrics if metric.key == "test_accuracy"} == {0.5, 0.75}


def test_both_data_sets_are_inputs_with_their_hash_and_source(made: Record) -> None:
    mirror = _mirror(made)
    mirror.complete(made)
    inputs = store.connect()[0].get_run(str(mirror.run_id)).inputs.dataset_inputs
    found = {given.tags[0].value: given.dataset for given in inputs}
    assert {context: (data.name, data.digest) for context, data in found.items()} == {
        "training": ("digits", made.hashes["data/processed/train"]),
        "testing": ("digits", made.test_md5),
    }
    assert json.loads(found["testing"].source)["path"] == "data/raw/test"


def test_a_run_with_one_input_gets_the_other(made: Record) -> None:
    test_md5, made.test_md5 = made.test_md5, ""
    _mirror(made).complete(made)
    made.test_md5 = test_md5
    assert _mirror(made).complete(made) == ["data sets"]
    assert _mirror(made).complete(made) == []


# The command `predict`


def test_predict_takes_it_from_a_run_and_from_the_registry(made: Record, capsys: pytest.CaptureFixture[str]) -> None:
    mirror = _mirror(made)
    mirror.complete(made)
    client, model = store.connect()[0], _logged(made).model_id
    client.create_registered_model("shades")
    version = client.create_model_version("shades", f"models:/{model}", mirror.run_id, model_id=model).version
    client.set_registered_model_alias("shades", "best", version)
    Path("picture.png").write_bytes(base64.b64decode(_picture(ANSWERS["dark"])))
    for given in (
        ["--run", str(mirror.run_id)[:8]],
        ["--model", "models:/shades@best"],
        ["--model", "models:/shades/1"],
    ):
        cli.main(["predict", "picture.png", "--json", *given])
        assert json.loads(capsys.readouterr().out)["class"] == "dark", given


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "f00"], r"0 runs in .* have an ID that begins with 'f00', expected 1\n  fix: "),
        (["--model", "models:/nothing@best"], r"has no models:/nothing@best; it has no registered model\n  fix: "),
    ],
)
def test_a_model_that_mlflow_does_not_have(made: Record, arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        cli.main(["predict", "picture.png", *arguments])


def test_a_run_without_it(made: Record) -> None:
    made.onnx = None
    mirror = _mirror(made)
    mirror.complete(made)
    with pytest.raises(SystemExit, match=r"has no model in ONNX format.*\n  fix: .*sync"):
        cli.main(["predict", "picture.png", "--run", str(mirror.run_id)])
