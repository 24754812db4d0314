import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reprocnn import backend
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import write_model
from reprocnn.artifacts.tables import write_csv
from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models import costs
from reprocnn.models.build import build, start
from reprocnn.params import FitParams, ModelParams
from reprocnn.run.checkpoints import Checkpoint, Row
from reprocnn.training.fit import Split, _balanced, fit, load_splits, summary


def _split(n: int, seed: int) -> Split:
    """Images whose class is their brightness."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    images = random.random((n, 8, 8, 1)) * 0.5 + labels[:, None, None, None] * 0.5
    return images.astype(np.float32), np.eye(2, dtype=np.float32)[labels]


class _KilledError(BaseException):
    pass


def _train(
    folder: Path,
    seed: int = 0,
    told: list[Row] | None = None,
    kill_at: int = 0,
    model: str = "deep_cnn",
    options: Mapping[str, object] = MappingProxyType({"dropout": 0.5}),
    **recipe: Any,
) -> tuple[keras.Model, pd.DataFrame]:
    """Train; `kill_at`: be killed after the checkpoint of that epoch."""

    def on_epoch(row: Row) -> None:
        if told is not None:
            told.append(row)
        if row["epoch"] == kill_at:
            raise _KilledError

    backend.prepare(seed)
    built, train = build(ModelParams(model=model, **options), (8, 8, 1), 2, seed), _split(96, 0)
    start(model, built, train[0])
    history = fit(
        built,
        train,
        _split(32, 1),
        FitParams(**{"epochs": 3, "batch_size": 10, "learning_rate": 0.002, "seed": seed} | recipe),
        checkpoint=Checkpoint(folder),
        on_epoch=on_epoch,
    )
    return built, history


EVERYTHING = {
    "augment": "flip_shift_rotate_zoom_contrast_cutout",
    "optimizer": "sgd",
    "learning_rate": 0.2,
    "weight_decay": 0.01,
    "schedule": "one_cycle",
    "warmup": 0.2,
    "label_smoothing": 0.1,
    "ema": 0.8,
    "patience": 3,
    "class_weight": "balanced",
    "precision": "bfloat16",
}
"""A recipe with all that params.yaml offers."""


def _hashes(folder: Path, model: keras.Model, history: pd.DataFrame) -> list[str]:
    write_model(folder / "model.keras", model)
    write_csv(folder / "history.csv", history)
    return [md5(folder / name) for name in ("model.keras", "history.csv")]


def test_a_model_learns_and_every_epoch_is_told(tmp_path: Path) -> None:
    told: list[Row] = []
    model, history = _train(tmp_path, told=told)
    assert history.columns.tolist() == [
        *("epoch", "train_loss", "train_accuracy"),
        *("validation_loss", "validation_accuracy", "learning_rate"),
    ]
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert history["validation_accuracy"].max() > 0.8
    assert [row["epoch"] for row in told] == [1, 2, 3]
    assert [row["train_loss"] for row in told] == history["train_loss"].tolist()
    assert all(row["seconds"] > 0 and row["ended"] > 1.7e9 for row in told)
    made = summary(history, model, patience=0)
    assert made["best_validation_accuracy"] == history["validation_accuracy"].max()
    assert made["parameters"] == costs.parameters(model)


def test_steps_taken_at_once_change_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = _hashes(tmp_path, *_train(tmp_path / "many"))
    monkeypatch.setattr("reprocnn.training.fit._LONG_STEP", 0)
    assert many == _hashes(tmp_path, *_train(tmp_path / "single"))


@pytest.mark.parametrize(
    ("model", "options", "recipe"),
    [
        ("mlp", {}, {}),
        ("mlp", {"dropout": 0.5}, {}),
        ("simple_cnn", {"padding": "same", "pooling": "average", "dropout": 0.5}, {"optimizer": "adamw"}),
        ("deep_cnn", {}, {}),
        ("deep_cnn", {"pooling": "average", "dropout": 0.0, "batch_norm": True}, {"schedule": "cosine"}),
        ("lenet", {"padding": "same"}, {"optimizer": "muon"}),
        ("alexnet", {}, {"precision": "bfloat16"}),
        ("vgg", {"depth": 11}, {"optimizer": "adamw", "weight_decay": 0.1}),
        ("resnet", {"depth": 8}, {"augment": "flip_shift"}),
        ("inception", {}, {}),
        ("speednet", {"width": 8}, EVERYTHING),
    ],
)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    tmp_path: Path, model: str, options: dict[str, object], recipe: dict[str, object]
) -> None:
    hashes = [
        _hashes(tmp_path, *_train(tmp_path / str(number), seed, model=model, options=options, **recipe))
        for number, seed in enumerate((5, 5, 6))
    ]
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[2][0]


@pytest.mark.parametrize(
    ("model", "recipe"),
    [("mlp", {}), ("deep_cnn", {}), ("deep_cnn", EVERYTHING), ("deep_cnn", {"optimizer": "muon", "patience": 1})],
)
def test_a_training_that_was_cut_off_goes_on_to_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, recipe: dict[str, object]
) -> None:
    _, history = _train(tmp_path / "whole", model=model, **recipe)
    whole = _hashes(tmp_path, *_train(tmp_path / "again", model=model, **recipe))
    epochs = len(history)
    for epoch in range(1, epochs + 1):
        told: list[Row] = []
        with pytest.raises(_KilledError):
            _train(tmp_path / f"{epoch}", kill_at=epoch, told=told, model=model, **recipe)
        capsys.readouterr()
        assert _hashes(tmp_path, *_train(tmp_path / f"{epoch}", told=told, model=model, **recipe)) == whole
        assert f"going on after epoch {epoch} of 3" in capsys.readouterr().out
        # What was told before is told again, with the same times, and nothing is trained twice.
        assert [row["epoch"] for row in told] == [*range(1, epoch + 1), *range(1, epochs + 1)]
        assert told[:epoch] == told[epoch : 2 * epoch]


def test_a_batch_larger_than_the_data_is_refused(tmp_path: Path) -> None:
    for name, n in (("train", 20), ("validation", 5)):
        images, labels = _split(n, 0)
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "images.npy", images)
        np.save(tmp_path / name / "labels.npy", labels)
    with pytest.raises(UserError, match="batch_size=21 is larger than the 20 training images"):
        load_splits(tmp_path / "train", tmp_path / "validation", 21)
    train, _ = load_splits(tmp_path / "train", tmp_path / "validation", 20)
    assert isinstance(train[0], np.memmap)


def test_a_training_that_diverges_is_stopped(tmp_path: Path) -> None:
    images, labels = _split(32, 0)
    with pytest.raises(UserError, match=r"no finite number after epoch 1\n  fix: use a lower learning_rate"):
        fit(
            build(ModelParams(model="mlp"), (8, 8, 1), 2, 0),
            (images, labels * np.float32("nan")),
            (images, labels),
            FitParams(epochs=3, batch_size=8),
            checkpoint=Checkpoint(tmp_path),
            on_epoch=lambda _: None,
        )


def test_patience_ends_the_training_with_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    """A learning rate that is too high makes validation go up and down."""
    recipe = {"learning_rate": 0.05, "epochs": 12, "model": "mlp", "options": {}}
    model, history = _train(tmp_path / "a", patience=2, **recipe)
    accuracies = history["validation_accuracy"]
    best = int(accuracies.idxmax())
    assert len(history) == best + 1 + 2 < 12
    images, labels = _split(32, 1)
    probabilities = model(images).numpy()
    assert (probabilities.argmax(axis=1) == labels.argmax(axis=1)).mean() == pytest.approx(accuracies[best])
    made = summary(history, model, patience=2)
    assert made["validation_accuracy"] == accuracies[best] == made["best_validation_accuracy"]
    assert made["best_epoch"] == best + 1
    _, whole = _train(tmp_path / "b", **recipe)
    pd.testing.assert_frame_equal(whole[: len(history)], history)  # patience changes nothing before the end


def test_the_moving_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    recipe = {"learning_rate": 0.01, "model": "mlp", "options": {}}
    plain, history = _train(tmp_path / "a", **recipe)
    averaged, other = _train(tmp_path / "b", ema=0.9, **recipe)
    assert history["train_loss"].tolist() == other["train_loss"].tolist()  # the weights that train are the same
    images, labels = _split(32, 1)
    loss = keras.losses.CategoricalCrossentropy()(labels, averaged(images))
    assert float(loss) == pytest.approx(other["validation_loss"].iloc[-1], rel=1e-4)
    assert not np.allclose(plain(images), averaged(images))


def test_label_smoothing_and_class_weights_leave_the_validation_loss_plain(tmp_path: Path) -> None:
    model, history = _train(tmp_path, label_smoothing=0.5, class_weight="balanced", model="mlp", options={})
    images, labels = _split(32, 1)
    loss = keras.losses.CategoricalCrossentropy()(labels, model(images))
    assert float(loss) == pytest.approx(history["validation_loss"].iloc[-1], rel=1e-4)
    assert history["train_loss"].min() > 0.5  # entropy of the smooth labels: 0.56


def test_each_part_of_a_recipe_changes_the_training(tmp_path: Path) -> None:
    recipes: list[dict[str, Any]] = [
        {},
        {"augment": "flip"},
        {"augment": "shift"},
        {"class_weight": "balanced"},
        {"precision": "bfloat16"},
        {"label_smoothing": 0.1},
        {"optimizer": "adamw", "weight_decay": 1.0},
        {"schedule": "cosine"},
        {"warmup": 0.5},
        {"ema": 0.9},
    ]
    kernels = set()
    for number, recipe in enumerate(recipes):
        model, _ = _train(tmp_path / f"{number}", model="mlp", options={}, epochs=2, **recipe)
        kernels.add(model.get_weights()[0].tobytes())
    assert len(kernels) == len(recipes)


def test_balanced_classes_have_the_same_part_in_the_loss() -> None:
    labels = np.eye(3, dtype=np.float32)[[0] * 6 + [1] * 3]
    weights = _balanced(labels)
    assert weights == {0: pytest.approx(9 / 18), 1: pytest.approx(9 / 9)}


def test_the_saved_model_has_keras_own_layers_in_float32(tmp_path: Path) -> None:
    model, _ = _train(tmp_path, model="speednet", options={"width": 8}, **EVERYTHING)
    write_model(tmp_path / "model.keras", model)
    code = (
        "import sys, keras; m = keras.models.load_model(sys.argv[1])\n"
        "assert all(type(l).__module__.startswith('keras.') for l in m.layers), m.layers\n"
        "assert all(l.dtype_policy.name == 'float32' for l in m.layers)\n"
        "assert not [l.name for l in m.layers if l.name.startswith('augment')]"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "model.keras")], check=True)
