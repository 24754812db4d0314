import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import reprocnn
from checkouts import ROOT, Checkout
from reprocnn.artifacts.files import read_json
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.artifacts.scores import METRICS
from reprocnn.artifacts.training import TRAINING
from reprocnn.errors import UserError
from tiny_model import COLOURS, INFO, SIZE, tiny_info, write_tiny_model


def test_paths_and_arrays_are_classified(tmp_path: Path) -> None:
    model = reprocnn.load(write_tiny_model(tmp_path / "model.onnx"))
    assert model.class_names == ("red", "green", "blue")
    Image.new("RGB", (6, 6), COLOURS["blue"]).save(tmp_path / "a.png")
    for pictures in (tmp_path / "a.png", str(tmp_path / "a.png"), [tmp_path / "a.png"]):
        (answer,) = model.predict(pictures, top=1)
        assert (answer.file, answer.class_name) == (str(tmp_path / "a.png"), "blue")
    table = pd.DataFrame(model.predict(np.zeros((2, SIZE, SIZE, 3), np.uint8)))
    assert table["class_name"].tolist() == ["red", "red"]


def test_calibrated_answers_have_another_confidence_and_the_same_class(tmp_path: Path) -> None:
    model = reprocnn.load(write_tiny_model(tmp_path / "model.onnx"))
    image = np.broadcast_to(np.uint8(COLOURS["green"]), (1, SIZE, SIZE, 3))
    (plain,), (calibrated,) = model.predict(image), model.predict(image, calibrated=True)
    assert plain.class_name == calibrated.class_name == "green"
    assert plain.confidence > calibrated.confidence + 0.1
    assert model.predict(image) == [plain]
    older = reprocnn.load(write_tiny_model(tmp_path / "old.onnx", info=replace(INFO, temperature=None)))
    with pytest.raises(UserError, match=r"no temperature.*\n  fix: train again: dvc repro"):
        older.predict(image, calibrated=True)


def test_an_unreadable_picture_is_an_error(tmp_path: Path) -> None:
    model = reprocnn.load(write_tiny_model(tmp_path / "model.onnx"))
    with pytest.raises(UserError, match=r"missing.png: no such file"):
        model.predict(tmp_path / "missing.png")


def test_a_model_for_images_that_are_not_square_takes_only_arrays(tmp_path: Path) -> None:
    model = reprocnn.load(write_tiny_model(tmp_path / "model.onnx", info=tiny_info(size=(4, 6))))
    Image.new("RGB", (6, 4), COLOURS["blue"]).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: the model takes images of 4x6 pixels.*\n  fix: crop and resize them"):
        model.predict(tmp_path / "a.png")
    assert [answer.class_name for answer in model.predict(np.zeros((1, 4, 6, 3)))] == ["red"]


def test_white_is_set_when_a_model_is_loaded(tmp_path: Path) -> None:
    path, picture = write_tiny_model(tmp_path / "model.onnx"), tmp_path / "scan.png"
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(picture)
    with pytest.raises(UserError, match=r"which value is white.*\n  fix: .*`white=` of `reprocnn\.load`"):
        reprocnn.load(path).predict(picture)
    assert len(reprocnn.load(path, white=4095).predict(picture)) == 1
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="expected a value of white above 0"):
            reprocnn.load(path, white=wrong)


def test_a_model_outside_a_checkout_has_no_results(tmp_path: Path) -> None:
    model = reprocnn.load(write_tiny_model(tmp_path / "models" / "model.onnx"))
    for name in ("metrics", "history", "params"):
        with pytest.raises(UserError, match="the results of this model are not known"):
            getattr(model, name)


def test_a_model_in_another_dvc_project_has_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {prepare: {cmd: make}}\n")
    model = reprocnn.load(write_tiny_model(tmp_path / "models" / "model.onnx"))
    with pytest.raises(UserError, match="the results of this model are not known"):
        _ = model.metrics
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is not a checkout of this project"):
        reprocnn.load_experiment("HEAD")


def test_a_model_in_a_checkout_has_the_results_of_its_dvc_lock(checkout: Checkout) -> None:
    folder = checkout.folder
    model = reprocnn.load(folder / ONNX_MODEL)
    assert model.metrics["test_accuracy"] == read_json(folder / METRICS)["accuracy"]
    assert model.metrics["validation_accuracy"] == read_json(folder / TRAINING)["validation_accuracy"]
    pd.testing.assert_frame_equal(model.history, pd.read_csv(folder / HISTORY))
    checkout.edit("params.yaml", "epochs: 1", "epochs: 7")  # not what made the model
    assert (model.params["epochs"], model.params["dataset"]) == (1, "digits")
    (folder / METRICS).unlink()
    with pytest.raises(UserError, match="the results of this model are not known"):
        _ = reprocnn.load(folder / ONNX_MODEL).metrics


def test_an_experiment_is_loaded_from_a_subfolder(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout.folder / "src")
    model = reprocnn.load_experiment("two")
    assert (model.params["epochs"], len(model.history)) == (2, 2)
    assert 0.5 < model.metrics["test_accuracy"] <= 1
    assert Path.cwd() == checkout.folder / "src"
    with pytest.raises(UserError, match="no experiment or revision is called 'three'"):
        reprocnn.load_experiment("three")


def test_a_model_that_is_not_in_the_cache_is_fetched_or_the_error_says_where(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.run("dvc", "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    checkout.run("dvc", "push", "--quiet")
    folder = checkout.folder / ".dvc" / "cache" / "files" / "md5"
    for file in [f for f in folder.rglob("*") if f.is_file()]:
        file.unlink()
    monkeypatch.chdir(checkout.folder)
    assert reprocnn.load_experiment("HEAD").params["epochs"] == 1
    with pytest.raises(UserError, match=r"two is neither in DVC's cache nor in a remote\n  fix: .*exp push"):
        reprocnn.load_experiment("two")


def test_neither_tensorflow_nor_mlflow_nor_dvc_is_imported(checkout: Checkout) -> None:
    code = (
        "import sys, reprocnn, numpy as np\n"
        "model = reprocnn.load_experiment('two')\n"
        "model.predict(np.zeros((1, 8, 8, 1))), model.history, model.metrics\n"
        "print({'tensorflow', 'keras', 'mlflow', 'dvc'} & set(sys.modules))"
    )
    environment = Checkout.environment() | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=checkout.folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
