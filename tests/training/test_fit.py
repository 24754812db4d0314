from pathlib import Path

import numpy as np
import pytest

from reprocnn import backend, files
from reprocnn.errors import UserError
from reprocnn.models.registry import build
from reprocnn.training.fit import Split, fit, load_splits, summary


def _split(n: int, seed: int) -> Split:
    """Images whose class is their brightness."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    images = random.random((n, 8, 8, 1)) * 0.5 + labels[:, None, None, None] * 0.5
    return images.astype(np.float32), np.eye(2, dtype=np.float32)[labels]


def _train(seed: int, told: list[object]) -> tuple[object, object]:
    backend.prepare(seed)
    model = build("deep_cnn", (8, 8, 1), 2, {})
    history = fit(
        model,
        _split(96, 0),
        _split(32, 1),
        epochs=3,
        batch_size=10,
        learning_rate=0.002,
        seed=seed,
        on_epoch=lambda *values: told.append(values),
    )
    return model, history


def test_a_model_learns_and_every_epoch_is_told() -> None:
    told: list[object] = []
    model, history = _train(0, told)
    assert history.columns.tolist() == [
        *("epoch", "train_loss", "train_accuracy"),
        *("validation_loss", "validation_accuracy", "learning_rate"),
    ]
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert history["validation_accuracy"].max() > 0.8
    assert [(epoch, row["train_loss"]) for epoch, row, _ in told] == list(
        zip(history["epoch"], history["train_loss"], strict=True)
    )
    assert all(seconds > 0 for *_, seconds in told)
    made = summary(history, model)
    assert made["best_validation_accuracy"] == history["validation_accuracy"].max()
    assert made["parameters"] == model.count_params()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    hashes = []
    for number, seed in enumerate((5, 5, 6)):
        model, history = _train(seed, [])
        files.write_model(tmp_path / f"{number}.keras", model)
        files.write_csv(tmp_path / f"{number}.csv", history)
        hashes.append([files.md5(tmp_path / f"{number}.{kind}") for kind in ("keras", "csv")])
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[2][0]


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


def test_a_training_that_diverges_is_stopped() -> None:
    images, labels = _split(32, 0)
    with pytest.raises(UserError, match=r"no finite number after epoch 1\n  fix: use a lower learning_rate"):
        fit(
            build("mlp", (8, 8, 1), 2, {}),
            (images, labels * np.float32("nan")),
            (images, labels),
            epochs=3,
            batch_size=8,
            learning_rate=0.1,
            seed=0,
            on_epoch=lambda *_: None,
        )
