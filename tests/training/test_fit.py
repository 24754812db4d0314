from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

from reprocnn import backend, files
from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models.registry import build
from reprocnn.training.checkpoints import Checkpoint, Row
from reprocnn.training.fit import Split, fit, load_splits, summary


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
) -> tuple[keras.Model, pd.DataFrame]:
    """Train; `kill_at`: be killed after the checkpoint of that epoch."""

    def on_epoch(row: Row) -> None:
        if told is not None:
            told.append(row)
        if row["epoch"] == kill_at:
            raise _KilledError

    backend.prepare(seed)
    built = build(model, (8, 8, 1), 2, options, seed)
    history = fit(
        built,
        _split(96, 0),
        _split(32, 1),
        epochs=3,
        batch_size=10,
        learning_rate=0.002,
        seed=seed,
        checkpoint=Checkpoint(folder),
        on_epoch=on_epoch,
    )
    return built, history


def _hashes(folder: Path, model: keras.Model, history: pd.DataFrame) -> list[str]:
    files.write_model(folder / "model.keras", model)
    files.write_csv(folder / "history.csv", history)
    return [files.md5(folder / name) for name in ("model.keras", "history.csv")]


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
    made = summary(history, model)
    assert made["best_validation_accuracy"] == history["validation_accuracy"].max()
    assert made["parameters"] == model.count_params()


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("mlp", {}),
        ("mlp", {"dropout": 0.5}),
        ("simple_cnn", {"padding": "same", "pooling": "average", "dropout": 0.5}),
        ("deep_cnn", {}),
        ("deep_cnn", {"pooling": "average", "dropout": 0.0}),
    ],
)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    tmp_path: Path, model: str, options: dict[str, object]
) -> None:
    hashes = [
        _hashes(tmp_path, *_train(tmp_path / str(number), seed, model=model, options=options))
        for number, seed in enumerate((5, 5, 6))
    ]
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[2][0]


@pytest.mark.parametrize("model", ["mlp", "deep_cnn"])
def test_a_training_that_was_cut_off_goes_on_to_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    whole = _hashes(tmp_path, *_train(tmp_path / "whole", model=model))
    for epoch in (1, 2, 3):
        told: list[Row] = []
        with pytest.raises(_KilledError):
            _train(tmp_path / f"{epoch}", kill_at=epoch, told=told, model=model)
        capsys.readouterr()
        assert _hashes(tmp_path, *_train(tmp_path / f"{epoch}", told=told, model=model)) == whole
        assert f"going on after epoch {epoch} of 3" in capsys.readouterr().out
        # What was told before is told again, with the same times, and nothing is trained twice.
        assert [row["epoch"] for row in told] == [*range(1, epoch + 1), *range(1, 4)]
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
            build("mlp", (8, 8, 1), 2, {}, 0),
            (images, labels * np.float32("nan")),
            (images, labels),
            epochs=3,
            batch_size=8,
            learning_rate=0.1,
            seed=0,
            checkpoint=Checkpoint(tmp_path),
            on_epoch=lambda _: None,
        )
