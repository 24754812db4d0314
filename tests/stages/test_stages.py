"""The `main` of every stage, end to end, on the digits."""

import importlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from checkouts import ROOT
from reprocnn.artifacts.confidence import (
    CONFIDENCE,
    COVERAGE,
    RELIABILITY,
    read_confidence,
    read_coverage,
    read_reliability,
)
from reprocnn.artifacts.corrections import EXCLUDE, RELABEL
from reprocnn.artifacts.dataset import DATASET, read_dataset
from reprocnn.artifacts.explanations import EXPLANATIONS, read_explanations
from reprocnn.artifacts.figures import DESCRIPTION, FIGURES, REPORT
from reprocnn.artifacts.files import content_md5, md5
from reprocnn.artifacts.history import HISTORY, Epoch, read_history
from reprocnn.artifacts.image_files import read_image_files
from reprocnn.artifacts.label_errors import LABEL_ERRORS, read_label_errors
from reprocnn.artifacts.model import MODEL, ONNX_MODEL, load_model
from reprocnn.artifacts.model_card import MODEL_CARD, ModelCard, read_model_card
from reprocnn.artifacts.predictions import PREDICTIONS, read_predictions
from reprocnn.artifacts.robustness import ROBUSTNESS, read_robustness
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, read_confusion, read_scores
from reprocnn.artifacts.split import RAW_TEST, RAW_TRAIN, TRAIN, VALIDATION, read_split
from reprocnn.artifacts.statistics import STATISTICS, read_statistics
from reprocnn.artifacts.training import TRAINING, read_training
from reprocnn.data import splits
from reprocnn.errors import UserError
from reprocnn.inference.classifier import Classifier
from reprocnn.models.build import build
from reprocnn.params import TrainParams, load_params
from reprocnn.run import mirror

STAGES = ("download", "preprocess", "train", "evaluate", "plot")


@pytest.fixture(scope="module")
def stage_outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run all stages in a folder; return stage -> what it printed."""
    folder = tmp_path_factory.mktemp("stages")
    for name in ("params.yaml", "dvc.yaml", "stages", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    (folder / "data").mkdir()
    for path in (EXCLUDE, RELABEL):
        shutil.copy(ROOT / path, folder / path)
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
                if stage in {"evaluate", "plot"}:
                    mirror.log_stage(stage)  # as the harness does
            printed[stage] = output.getvalue()
        yield printed


def test_download_writes_raw_splits_in_one_format(stage_outputs: dict[str, str]) -> None:
    images, labels = read_split(RAW_TRAIN)
    assert (images.shape, images.dtype, labels.dtype) == ((1437, 8, 8, 1), np.uint8, np.int64)
    assert read_dataset(DATASET).class_names == tuple("0123456789")
    printed = stage_outputs["download"].splitlines()
    assert printed[0] == "test split: 20.0% of the images (19.8% to 20.3% of each class), split_by image"
    assert printed[1] == "10 classes:"
    assert printed[-1] == "digits: 1437 + 360 images of 8x8x1"
    files = read_image_files(RAW_TEST)
    predicted = read_predictions(PREDICTIONS)
    assert (predicted["file"].tolist(), predicted["image"].tolist()) == (files.file, files.image)


def test_preprocess_splits_normalises_and_encodes(stage_outputs: dict[str, str]) -> None:
    train, one_hot = read_split(TRAIN)
    validation, _ = read_split(VALIDATION)
    assert (len(train), len(validation)) == (1293, 144)
    assert train.dtype == one_hot.dtype == np.float32
    assert one_hot.shape == (1293, 10)
    assert abs(train.mean()) < 1e-4
    assert abs(train.std() - 1) < 1e-4
    assert abs(validation.mean()) > 1e-5  # normalised by the statistics of the training split
    assert read_statistics(STATISTICS).normalization.kind == "standardize"


def test_train_writes_model_card_and_history(stage_outputs: dict[str, str]) -> None:
    history = read_history(HISTORY)
    assert [epoch.epoch for epoch in history] == [1, 2]
    assert [epoch.learning_rate for epoch in history] == pytest.approx([0.001] * 2)
    card = read_model_card(MODEL_CARD)
    measured = (card.temperature, card.threshold_99, card.conformal_quantile_90)
    assert card == ModelCard("digits", "deep_cnn", tuple("0123456789"), (8, 8, 1), None, *measured)
    assert 0.05 < card.temperature < 20
    assert card.temperature != 1
    assert 0 < card.conformal_quantile_90 < 1
    info = Classifier(ONNX_MODEL).info
    assert (info.temperature, info.threshold_99, info.conformal_quantile_90) == measured
    assert read_training(TRAINING).validation_accuracy == history[-1].validation_accuracy


LOADED_ALONE = """
import sys
import keras, numpy as np
model = keras.models.load_model("models/model.keras")
images, labels = (np.load(f"data/raw/test/{name}.npy") for name in ("images", "labels"))
assert images.dtype == np.uint8
print("@", (model.predict(images, verbose=0).argmax(axis=1) == labels).mean())
assert not any(name.startswith("reprocnn") for name in sys.modules)
"""


def test_the_model_loads_without_this_project_and_takes_raw_images(stage_outputs: dict[str, str]) -> None:
    command = [sys.executable, "-c", LOADED_ALONE]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert float(done.stdout.split("@")[1]) == pytest.approx(read_scores(METRICS).accuracy, abs=1e-6)


def test_the_saved_model_predicts_from_raw_images_what_the_trained_one_does_from_normalised_ones(
    stage_outputs: dict[str, str],
) -> None:
    normalised, one_hot = read_split(VALIDATION)
    raw, statistics = read_split(RAW_TRAIN), read_statistics(STATISTICS)
    held_out = splits.held_out(raw.labels, statistics.class_names, splits.Draw("validation_fraction", 0.1, 0))
    saved = load_model(MODEL)
    core = build(load_params(TrainParams), statistics.image_shape, 10, 0)
    core.set_weights(saved.get_weights())
    probabilities = saved.predict_on_batch(raw.images[held_out].astype(np.float32))
    np.testing.assert_allclose(probabilities, core.predict_on_batch(np.asarray(normalised)), atol=1e-5)
    accuracy = (probabilities.argmax(axis=1) == one_hot.argmax(axis=1)).mean()
    assert accuracy == pytest.approx(read_training(TRAINING).validation_accuracy)


def test_evaluate_measures_the_test_split(stage_outputs: dict[str, str]) -> None:
    scores, table = read_scores(METRICS), pd.read_csv(PREDICTIONS, dtype={"actual": str, "predicted": str})
    assert scores.n == len(table) == 360
    assert scores.tta_accuracy
    assert 0.5 < scores.tta_accuracy <= 1
    assert scores.accuracy == pytest.approx((table["actual"] == table["predicted"]).mean(), abs=1e-6)
    assert scores.accuracy_low < scores.accuracy < scores.accuracy_high
    assert scores.accuracy > 0.5
    assert scores.others["top_k_accuracy"] > scores.accuracy
    robust = read_robustness(ROBUSTNESS)
    assert (len(robust), robust["accuracy"][0]) == (19, scores.accuracy)  # the sample is the whole split
    assert scores.others["robust_accuracy"] == pytest.approx(robust["accuracy"][1:].mean(), abs=1e-6)
    assert np.trace(read_confusion(CONFUSION_MATRIX)) == round(scores.accuracy * 360)
    assert f"{scores.accuracy:.2%}" in stage_outputs["evaluate"]


def test_evaluate_explains_some_test_images(stage_outputs: dict[str, str]) -> None:
    rows, images, maps = read_explanations(EXPLANATIONS)
    assert set(rows["kind"]) == {"mistake", "near miss", "hit"}
    np.testing.assert_array_equal(images, read_split(RAW_TEST).images[rows["index"]])
    assert maps.shape == images.shape[:3]
    assert maps.max() == 255


def test_evaluate_writes_the_label_errors_of_test_images_and_plot_counts_them(stage_outputs: dict[str, str]) -> None:
    rows, images = read_label_errors(LABEL_ERRORS)
    np.testing.assert_array_equal(images, read_split(RAW_TEST).images[rows["index"][:20]])
    assert rows["file"].tolist() == [read_image_files(RAW_TEST).file[index] for index in rows["index"]]
    assert (rows["label"] == read_predictions(PREDICTIONS)["actual"][rows["index"]].tolist()).all()
    n = len(rows)
    sentence = {0: "No label of a test image looks wrong", 1: "1 label of test images looks wrong"}
    assert sentence.get(n, f"{n} labels of test images look wrong") in REPORT.read_text()


def test_evaluate_measures_the_confidence_before_and_after_temperature_scaling(stage_outputs: dict[str, str]) -> None:
    others = read_confidence(CONFIDENCE)
    for prefix in ("", "calibrated_"):
        assert others[f"{prefix}ece_low"] <= others[f"{prefix}ece"] <= others[f"{prefix}ece_high"]
        assert 0 < others[f"{prefix}brier"] < 1
    assert others["calibrated_loss"] != others["loss"]
    assert others["conformal_90_coverage"] == pytest.approx(0.9, abs=0.08)
    bins, points = read_reliability(RELIABILITY), read_coverage(COVERAGE)
    assert bins["n"].sum() == bins["calibrated_n"].sum() == 360
    assert points["accuracy"].iloc[-1] == read_scores(METRICS).accuracy


def test_plot_draws_every_figure_and_the_report(stage_outputs: dict[str, str]) -> None:
    figures = sorted(FIGURES.iterdir())
    assert {path.name for path in figures} >= {"confusion_matrix.png", "curves.png", "mistakes.png", "per_class_f1.png"}
    for path in figures:
        with Image.open(path) as image:
            assert 600 <= image.width <= 1100
            assert "Software" not in image.info
    assert "Wrong on" in REPORT.read_text()
    assert "| accuracy |" in DESCRIPTION.read_text()


def test_no_partial_file_is_left(stage_outputs: dict[str, str]) -> None:
    assert not [p for p in Path().rglob("*") if "partial" in p.name]


def test_mlflow_has_one_finished_run_with_all_results(
    stage_outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('mlflow.db').resolve()}")
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    client = mlflow.MlflowClient()
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "2"
    assert run.data.params["dataset"] == "digits"
    assert run.data.metrics["test_accuracy"] == read_scores(METRICS).accuracy
    history = read_history(HISTORY)
    for field in fields(Epoch)[1:]:
        logged = client.get_metric_history(run.info.run_id, field.name)
        assert [m.step for m in logged] == [1, 2]
        assert [m.value for m in logged] == pytest.approx([getattr(epoch, field.name) for epoch in history])
    assert run.data.tags["model.md5"] == md5(MODEL)
    for tag in ("version.tensorflow", "cpu", "gpu", "threads", "seed", "git.commit", "git.dirty"):
        assert run.data.tags[tag]
    data = {given.tags[0].value: given.dataset for given in run.inputs.dataset_inputs}
    assert {use: (found.name, found.digest) for use, found in data.items()} == {
        "training": ("digits", content_md5(TRAIN)),
        "testing": ("digits", content_md5(RAW_TEST)),
    }
    assert f"test accuracy **{read_scores(METRICS).accuracy:.2%}**" in run.data.tags["mlflow.note.content"]
    artifacts = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert artifacts >= {
        *("params.yaml", "DVC.yaml", "hashes.json", "model_summary.txt", "report.html", "model_card.md", "figures"),
        *(
            "metrics.json",
            "per_class.csv",
            "confusion_matrix.csv",
            "confidence.csv",
            "reliability.csv",
            "coverage.csv",
            "history.csv",
            "predictions.csv",
            "robustness.csv",
        ),
    }
    assert len(client.list_artifacts(run.info.run_id, "figures")) == len(list(FIGURES.iterdir()))


def test_the_model_in_mlflow_predicts_as_the_saved_one(
    stage_outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('mlflow.db').resolve()}")
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    images = read_split(RAW_TEST).images[:4].astype(np.float32)
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert [list(s.shape) for s in loaded.metadata.signature.inputs] == [[-1, 8, 8, 1]]
    saved = load_model(MODEL).predict_on_batch(images)
    np.testing.assert_allclose(loaded.predict(images), saved, rtol=1e-5)
    keras_model = mlflow.tensorflow.load_model(f"runs:/{run.info.run_id}/model")
    np.testing.assert_allclose(keras_model.predict_on_batch(images), saved, rtol=1e-5)


def test_the_classifier_in_mlflow_has_the_test_metrics_and_answers_as_the_saved_model(
    stage_outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path('mlflow.db').resolve()}")
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    client = mlflow.MlflowClient()
    models = [client.get_logged_model(output.model_id) for output in run.outputs.model_outputs]
    assert sorted((model.name, model.status) for model in models) == [("classifier", "READY"), ("model", "READY")]
    (metric,) = [m for model in models for m in model.metrics or [] if m.key == "test_accuracy"]
    assert (metric.value, metric.dataset_digest) == (read_scores(METRICS).accuracy, content_md5(RAW_TEST))
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/classifier")
    answer = loaded.predict(loaded.input_example)
    first = read_split(RAW_TEST).images[:1]
    saved = load_model(MODEL).predict_on_batch(first.astype(np.float32))
    np.testing.assert_allclose(answer["probabilities"].tolist(), saved, atol=1e-5)


def test_a_wrong_value_stops_any_stage_before_it_writes(here: Path) -> None:
    text = (here / "params.yaml").read_text().replace("epochs: 10", "epochs: abc")
    (here / "params.yaml").write_text(text)
    for stage in STAGES[:4]:
        with pytest.raises(UserError, match="epochs: found 'abc'"):
            importlib.import_module(stage).main()
    assert sorted(p.name for p in here.iterdir()) == [".dvc", "params.yaml"]
