import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from reprocnn import backend
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.history import Epoch, write_history
from reprocnn.artifacts.model import write_model
from reprocnn.artifacts.split import Split
from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.models.build import build, initialize
from reprocnn.params import FitParams, ModelParams
from reprocnn.run.checkpoints import Checkpoint
from reprocnn.training.fit import _class_weights, fit
from reprocnn.training.hooks import NoCheckpoint, NoJournal, Weights


def _split(n: int, seed: int) -> Split:
    """Return n images in two classes: dark ones and bright ones."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    images = random.random((n, 8, 8, 1)) * 0.5 + labels[:, None, None, None] * 0.5
    return Split(images.astype(np.float32), np.eye(2, dtype=np.float32)[labels])


def _mlp() -> keras.Model:
    return build(ModelParams(model="mlp"), (8, 8, 1), 2, 0)


class _KilledError(BaseException):
    pass


class _Killed(Checkpoint):
    """Checkpoint that acts as if the process were killed.

    Args:
        folder: its folder.
        at: the epoch at which it is killed.
        before: whether it is killed before saving instead of after.
    """

    def __init__(self, folder: Path, at: int, before: bool = False) -> None:
        super().__init__(folder)
        self._at, self._before = at, before

    def save(self, model: keras.Model, epochs: list[Epoch], best: Weights) -> None:
        dies = len(epochs) == self._at
        if dies and self._before:
            raise _KilledError
        super().save(model, epochs, best)
        if dies:
            raise _KilledError


class _Journal(NoJournal):
    """Journal that keeps the epochs in memory."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.seconds: list[float] = []

    def epoch(self, epoch: Epoch, seconds: float) -> None:
        self.epochs.append(epoch)
        self.seconds.append(seconds)


def _train(
    checkpoint: NoCheckpoint | None = None,
    journal: NoJournal | None = None,
    seed: int = 0,
    model: str = "mlp",
    options: Mapping[str, object] = MappingProxyType({"dropout": 0.5}),
    **recipe: Any,
) -> tuple[keras.Model, list[Epoch]]:
    backend.prepare(seed)
    built, train = build(ModelParams(model=model, **options), (8, 8, 1), 2, seed), _split(96, 0)
    initialize(model, built, train[0])
    history = fit(
        built,
        train,
        _split(32, 1),
        FitParams(**{"epochs": 3, "batch_size": 10, "learning_rate": 0.002, "seed": seed} | recipe),
        checkpoint=checkpoint or NoCheckpoint(),
        journal=journal or NoJournal(),
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
"""A recipe that uses every training option of params.yaml but `low_resolution`, which few models support."""

SMALL_AT_FIRST = {"optimizer": "muon", "low_resolution": 0.5}


def _hashes(folder: Path, model: keras.Model, history: list[Epoch]) -> list[str]:
    write_model(folder / "model.keras", model)
    write_history(folder / "history.csv", history)
    return [md5(folder / name) for name in ("model.keras", "history.csv")]


def test_a_model_learns_and_the_journal_has_every_epoch() -> None:
    journal = _Journal()
    _, history = _train(journal=journal, model="deep_cnn")
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert history[-1].train_loss < history[0].train_loss
    assert max(epoch.validation_accuracy for epoch in history) > 0.8
    assert journal.epochs == history
    assert all(seconds > 0 for seconds in journal.seconds)


def test_fit_works_with_plain_values() -> None:
    """As in a notebook. The result does not depend on a checkpoint or journal."""
    backend.prepare(0)
    history = fit(_mlp(), _split(96, 0), _split(32, 1), FitParams(epochs=1, batch_size=10, learning_rate=0.002))
    assert history == _train(model="mlp", options={}, epochs=1)[1]


def test_a_checkpoint_and_a_journal_do_not_change_the_result(tmp_path: Path) -> None:
    plain = _hashes(tmp_path, *_train())
    assert plain == _hashes(tmp_path, *_train(Checkpoint(tmp_path / "kept"), _Journal()))


def test_grouped_steps_do_not_change_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = _hashes(tmp_path, *_train())
    monkeypatch.setattr("reprocnn.training.fit._LONG_STEP", 0)
    assert many == _hashes(tmp_path, *_train())


@pytest.mark.parametrize(
    ("model", "options", "recipe"),
    [
        ("mlp", {"dropout": 0.5}, {}),
        ("simple_cnn", {"padding": "same", "pooling": "average", "dropout": 0.5}, {"optimizer": "adamw"}),
        ("deep_cnn", {"pooling": "average", "dropout": 0.0, "batch_norm": True}, {"schedule": "cosine"}),
        ("resnet", {"depth": 8}, {"augment": "flip_shift"}),
        ("speednet", {"width": 4}, EVERYTHING),
        pytest.param("lenet", {"padding": "same"}, {"optimizer": "muon"}, marks=pytest.mark.slow),
        pytest.param("alexnet", {}, {"precision": "bfloat16"}, marks=pytest.mark.slow),
        pytest.param("vgg", {"depth": 11}, {"optimizer": "adamw", "weight_decay": 0.1}, marks=pytest.mark.slow),
        pytest.param("inception", {}, {}, marks=pytest.mark.slow),
    ],
)
def test_the_same_seed_gives_the_same_bytes(
    tmp_path: Path, model: str, options: dict[str, object], recipe: dict[str, Any]
) -> None:
    first, again = (_hashes(tmp_path, *_train(seed=5, model=model, options=options, **recipe)) for _ in range(2))
    assert first == again


def test_another_seed_gives_another_model(tmp_path: Path) -> None:
    first, other = (_hashes(tmp_path, *_train(seed=seed, model="mlp")) for seed in (5, 6))
    assert first[0] != other[0]


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("mlp", EVERYTHING),
        ("speednet", SMALL_AT_FIRST | {"options": {"width": 4}}),
        pytest.param("mlp", {"optimizer": "muon", "patience": 1}, marks=pytest.mark.slow),
        pytest.param("deep_cnn", {}, marks=pytest.mark.slow),
        pytest.param("deep_cnn", EVERYTHING, marks=pytest.mark.slow),
        pytest.param("deep_cnn", {"optimizer": "muon", "patience": 1}, marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_run_resumes_to_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, recipe: dict[str, Any]
) -> None:
    trained, history = _train(model=model, **recipe)
    uninterrupted, epochs = _hashes(tmp_path, trained, history), len(history)
    for epoch in (1, epochs):
        journal, folder = _Journal(), tmp_path / f"{epoch}"
        with pytest.raises(_KilledError):
            _train(_Killed(folder, epoch), journal, model=model, **recipe)
        capsys.readouterr()
        assert _hashes(tmp_path, *_train(Checkpoint(folder), journal, model=model, **recipe)) == uninterrupted
        at = f"at epoch {epoch + 1} of 3" if epoch < epochs else f"after its last epoch, {epochs} of 3"
        assert f"resuming {at}\n" in capsys.readouterr().out
        assert journal.epochs == history  # no epoch is trained or recorded twice


def test_an_epoch_without_its_checkpoint_is_recorded_again(tmp_path: Path) -> None:
    journal = _Journal()
    with pytest.raises(_KilledError):
        _train(_Killed(tmp_path, 2, before=True), journal)
    _, history = _train(Checkpoint(tmp_path), journal)
    assert journal.epochs == [*history[:2], *history[1:]]


def test_a_batch_larger_than_the_data_is_refused() -> None:
    model = _mlp()
    with pytest.raises(UserError, match=r"batch_size=21 is larger than the 20 training images\n  fix: -S batch"):
        fit(model, _split(20, 0), _split(5, 0), FitParams(epochs=1, batch_size=21))
    assert len(fit(model, _split(20, 0), _split(5, 0), FitParams(epochs=1, batch_size=20))) == 1


def test_a_diverging_training_run_is_stopped() -> None:
    images, labels = _split(32, 0)
    split = Split(images, labels * np.float32("nan"))
    with pytest.raises(UserError, match=r"the loss is NaN or infinite after epoch 1\n  fix: lower learning_rate"):
        fit(_mlp(), split, Split(images, labels), FitParams(epochs=3, batch_size=8))


def test_early_stopping_restores_the_weights_of_the_best_epoch() -> None:
    """The learning rate is too high, so that the validation accuracy goes up and down."""
    recipe = {"learning_rate": 0.05, "epochs": 12, "model": "mlp", "options": {}}
    model, history = _train(patience=2, **recipe)
    accuracies = [epoch.validation_accuracy for epoch in history]
    best = int(np.argmax(accuracies))
    assert len(history) == best + 1 + 2 < 12
    images, labels = _split(32, 1)
    probabilities = model(images).numpy()
    assert (probabilities.argmax(axis=1) == labels.argmax(axis=1)).mean() == pytest.approx(accuracies[best])
    _, without_patience = _train(**recipe)
    assert without_patience[: len(history)] == history  # patience changes nothing before it stops the training


def test_the_moving_average_is_validated_and_kept() -> None:
    recipe = {"learning_rate": 0.01, "model": "mlp", "options": {}}
    plain, history = _train(**recipe)
    averaged, other = _train(ema=0.9, **recipe)
    assert [e.train_loss for e in history] == [e.train_loss for e in other]  # training itself is the same
    images, labels = _split(32, 1)
    loss = keras.losses.CategoricalCrossentropy()(labels, averaged(images))
    assert float(loss) == pytest.approx(other[-1].validation_loss, rel=1e-4)
    assert not np.allclose(plain(images), averaged(images))


def test_label_smoothing_and_class_weights_do_not_change_the_validation_loss() -> None:
    model, history = _train(label_smoothing=0.5, class_weight="balanced", model="mlp", options={})
    images, labels = _split(32, 1)
    loss = keras.losses.CategoricalCrossentropy()(labels, model(images))
    assert float(loss) == pytest.approx(history[-1].validation_loss, rel=1e-4)
    assert min(epoch.train_loss for epoch in history) > 0.5  # entropy of the smooth labels: 0.56


def test_each_part_of_a_recipe_changes_the_weights() -> None:
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
    for recipe in recipes:
        model, _ = _train(model="mlp", options={}, epochs=1, **recipe)
        kernels.add(model.get_weights()[0].tobytes())
    assert len(kernels) == len(recipes)


def test_class_weights_classes_have_the_same_part_in_the_loss() -> None:
    labels = np.eye(3, dtype=np.float32)[[0] * 6 + [1] * 3]
    weights = _class_weights(labels)
    assert weights == {0: pytest.approx(9 / 18), 1: pytest.approx(9 / 9)}


def test_the_saved_model_has_keras_own_layers_in_float32(tmp_path: Path) -> None:
    """As the file has it: a process without this project loads no other."""
    model, _ = _train(model="speednet", options={"width": 8}, **EVERYTHING | {"epochs": 1})
    write_model(tmp_path / "model.keras", model)
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        layers = json.loads(file.read("config.json"))["config"]["layers"]
    for layer in layers:
        assert layer["module"].startswith("keras."), layer["name"]
        assert layer["registered_name"] in {None, layer["class_name"]}, layer["name"]
        policy = layer["config"]["dtype"]
        assert policy == "float32" or policy["config"]["name"] == "float32", layer["name"]
        assert not layer["name"].startswith("augment")
