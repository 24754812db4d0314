import os
import time
from pathlib import Path

import numpy as np
import pytest

from reprocnn.artifacts.history import Epoch
from reprocnn.backend import keras
from reprocnn.errors import UserError
from reprocnn.run import state
from reprocnn.run.checkpoints import FRESH_VARIABLE, MAX_AGE_DAYS, Checkpoint, checkpoint

EPOCHS = [Epoch(1, 1 / 3, 0.5, 0.25, 0.75, 1e-3)]
BEST = [np.float32([[1, 2]]), np.float32([3])]


def _model(fill: float) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.Dropout(0.5, seed=1)])
    model.compile(optimizer=keras.optimizers.Adam(), loss="mse")
    model.optimizer.build(model.trainable_variables)
    for variable in (*model.variables, *model.optimizer.variables):
        variable.assign(np.full(variable.shape, fill))
    return model


def _values(model: keras.Model) -> list[float]:
    return [float(np.ravel(variable)[0]) for variable in (*model.variables, *model.optimizer.variables)]


def test_restore_returns_every_variable_and_the_history(tmp_path: Path) -> None:
    Checkpoint(tmp_path).save(_model(3), EPOCHS, BEST)
    model = _model(0)
    epochs, best = Checkpoint(tmp_path).restore(model)
    assert epochs == EPOCHS  # bit for bit
    assert all(np.array_equal(a, b) for a, b in zip(best, BEST, strict=True))
    assert set(_values(model)) == {3.0}
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


def test_restore_without_a_checkpoint_changes_nothing(tmp_path: Path) -> None:
    model = _model(2)
    assert Checkpoint(tmp_path).restore(model) == ([], [])
    assert set(_values(model)) == {2.0}


def test_a_full_disk_warns_once_and_keeps_the_last_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = Checkpoint(tmp_path)
    saved.save(_model(1), EPOCHS, [])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    for _ in range(2):
        saved.save(_model(2), EPOCHS * 2, [])
    assert capsys.readouterr().err.count("warning: no checkpoint after epoch 2 (No space left on device)") == 1
    assert Checkpoint(tmp_path).restore(_model(0)) == (EPOCHS, [])
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]


def test_a_checkpoint_stays_after_an_interruption_and_after_success(here: Path) -> None:
    folder = state.checkpoints() / "abc"
    with pytest.raises(KeyboardInterrupt), checkpoint("abc") as saved:
        saved.save(_model(1), EPOCHS, [])
        raise KeyboardInterrupt
    assert folder.exists()
    with checkpoint("other") as saved:
        assert saved.restore(_model(0)) == ([], [])
    with checkpoint("abc") as saved:
        assert saved.restore(_model(0)) == (EPOCHS, [])
    assert folder.exists()  # `remove` deletes it later


def test_a_checkpoint_is_removed_after_a_user_error(here: Path) -> None:
    with pytest.raises(UserError), checkpoint("abc") as saved:
        saved.save(_model(1), EPOCHS, [])
        raise UserError("diverged", "use a lower learning_rate")
    assert not (state.checkpoints() / "abc").exists()


def test_a_training_can_start_from_the_first_epoch(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt), checkpoint("abc") as saved:
        saved.save(_model(1), EPOCHS, [])
        raise KeyboardInterrupt
    monkeypatch.setenv(FRESH_VARIABLE, "1")
    with checkpoint("abc") as saved:
        assert saved.fresh
        assert saved.restore(_model(0)) == ([], [])


def test_old_checkpoints_are_removed(here: Path) -> None:
    for name, days in (("old", MAX_AGE_DAYS + 1), ("young", MAX_AGE_DAYS - 1)):
        folder = state.checkpoints() / name
        folder.mkdir(parents=True)
        (folder / "state.npz").write_text("")
        then = time.time() - days * 86_400
        os.utime(folder, (then, then))
    with checkpoint("abc"):
        pass
    assert [p.name for p in state.checkpoints().glob("*/")] == ["young"]
