"""Each stage's main, end to end, on the digits."""

import importlib
import io
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import ROOT
from reprocnn.artifacts.dataset import DATASET
from reprocnn.artifacts.figures import FIGURES, REPORT
from reprocnn.artifacts.files import md5, read_json
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.predictions import PREDICTIONS
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS
from reprocnn.artifacts.split import RAW_TRAIN, TRAIN, VALIDATION, read_split
from reprocnn.artifacts.statistics import STATISTICS
from reprocnn.artifacts.tables import read_csv
from reprocnn.artifacts.training import TRAINING
from reprocnn.errors import UserError
from reprocnn.run.identity import content_md5

STAGES = ("download", "preprocess", "train", "evaluate", "plot")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A folder in which all stages ran; what each printed."""
    folder = tmp_path_factory.mktemp("stages")
    for name in ("params.yaml", "dvc.yaml", "stages", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    text = (folder / "params.yaml").read_text()
    for old, new in (
        ("epochs: 10", "epochs: 2"),
        ("normalization: unit", "normalization: standardize"),
        ("tta: none", "tta: flip"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "params.yaml").write_text(text)
    printed = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for stage in STAGES:
            output = io.StringIO()
            with redirect_stdout(output):
                importlib.import_module(stage).main()
            printed[stage] = output.getvalue()
        yield printed


def test_download_writes_one_fixed_form(made: dict[str, str]) -> None:
    images, labels = read_split(RAW_TRAIN)
    assert (images.shape, images.dtype, labels.dtype) == ((1437, 8, 8, 1), np.uint8, np.int64)
    assert read_json(DATASET)["class_names"] == list("0123456789")
    assert made["download"] == "digits: 1437 + 360 images of 8x8x1\n"


def test_preprocess_splits_normalises_and_encodes(made: dict[str, str]) -> None:
    train, one_hot = read_split(TRAIN)
    validation, _ = read_split(VALIDATION)
    assert (len(train), len(validation)) == (1293, 144)
    assert train.dtype == one_hot.dtype == np.float32
    assert one_hot.shape == (1293, 10)
    assert abs(train.mean()) < 1e-4
    assert abs(train.std() - 1) < 1e-4
    assert abs(validation.mean()) > 1e-5  # the statistics are not its own
    assert read_json(STATISTICS)["normalization"]["kind"] == "standardize"


def test_train_writes_model_card_and_history(made: dict[str, str]) -> None:
    history = read_csv(HISTORY)
    assert history["epoch"].tolist() == [1, 2]
    assert history["learning_rate"].tolist() == pytest.approx([0.001] * 2)
    card = read_json(MODEL_CARD)
    assert card["model"] == "deep_cnn"
    assert card["image_shape"] == [8, 8, 1]
    assert read_json(TRAINING)["validation_accuracy"] == history["validation_accuracy"].iloc[-1]


def test_evaluate_measures_the_test_split(made: dict[str, str]) -> None:
    metrics, table = read_json(METRICS), read_csv(PREDICTIONS, ("actual", "predicted"))
    assert metrics["n"] == len(table) == 360
    assert 0.5 < metrics["tta_accuracy"] <= 1
    assert metrics["accuracy"] == pytest.approx((table["actual"] == table["predicted"]).mean(), abs=1e-6)
    assert metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"]
    assert metrics["accuracy"] > 0.5
    counts = pd.read_csv(CONFUSION_MATRIX).iloc[:, 1:].to_numpy()
    assert np.trace(counts) == round(metrics["accuracy"] * 360)
    assert f"{metrics['accuracy']:.2%}" in made["evaluate"]


def test_plot_draws_every_figure_and_the_report(made: dict[str, str]) -> None:
    names = ["confusion_matrix.png", "curves.png", "mistakes.png", "per_class_f1.png"]
    assert sorted(p.name for p in FIGURES.iterdir()) == names
    for name in names:
        with Image.open(FIGURES / name) as image:
            assert 600 <= image.width <= 1100
            assert "Software" not in image.info
    assert REPORT.read_text().count("data:image/png") == 4


def test_nothing_half_written_is_left(made: dict[str, str]) -> None:
    assert not [p for p in Path().rglob("*") if "partial" in p.name]


def test_mlflow_has_one_finished_run_with_everything(made: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('mlflow.db').resolve()}")
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    client = mlflow.MlflowClient()
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "2"
    assert run.data.params["dataset"] == "digits"
    assert run.data.metrics["test_accuracy"] == read_json(METRICS)["accuracy"]
    history = read_csv(HISTORY)
    for name in history.columns[1:]:
        logged = client.get_metric_history(run.info.run_id, name)
        assert [m.step for m in logged] == [1, 2]
        assert [m.value for m in logged] == pytest.approx(history[name].tolist())
    assert run.data.tags["model.md5"] == md5(MODEL)
    for tag in ("version.tensorflow", "cpu", "gpu", "threads", "seed", "git.commit", "git.dirty"):
        assert run.data.tags[tag]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("digits", content_md5(TRAIN))
    artifacts = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert artifacts >= {
        *("params.yaml", "DVC.yaml", "hashes.json", "model_summary.txt", "report.html", "figures"),
        *(
            "metrics.json",
            "per_class.csv",
            "confusion_matrix.csv",
            "history.csv",
            "predictions.csv",
        ),
    }
    assert len(client.list_artifacts(run.info.run_id, "figures")) == 4


def test_mlflows_model_predicts_as_the_saved_one(made: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from reprocnn.backend import keras

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('mlflow.db').resolve()}")
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    images = np.asarray(read_split(VALIDATION)[0][:4])
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert [list(s.shape) for s in loaded.metadata.signature.inputs] == [[-1, 8, 8, 1]]
    saved = keras.models.load_model(MODEL).predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images), saved, rtol=1e-5)


def test_a_wrong_value_stops_any_stage_before_it_writes(here: Path) -> None:
    text = (here / "params.yaml").read_text().replace("epochs: 10", "epochs: abc")
    (here / "params.yaml").write_text(text)
    for stage in STAGES[:4]:
        with pytest.raises(UserError, match="epochs: found 'abc'"):
            importlib.import_module(stage).main()
    assert sorted(p.name for p in here.iterdir()) == [".dvc", "params.yaml"]
