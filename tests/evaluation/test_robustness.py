import numpy as np
import pytest

from reprocnn.backend import keras
from reprocnn.evaluation import robustness
from reprocnn.evaluation.corruptions import CORRUPTIONS
from reprocnn.evaluation.metrics import wilson_interval


def _bright_or_dark() -> keras.Model:
    """A network that predicts class 1 if the mean pixel is above 100, else class 0."""
    image = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(image)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    model.set_weights([np.array([[0, 1]], np.float32), np.array([0, -100], np.float32)])
    return model


def test_only_the_corruption_that_confuses_the_model_lowers_the_accuracy() -> None:
    labels = np.arange(40) % 2
    images = np.where(labels, 180, 20)[:, None, None, None].astype(np.uint8) + np.zeros((40, 8, 8, 1), np.uint8)
    table = robustness.measure(_bright_or_dark(), images, labels)
    assert table[["corruption", "strength"]].values.tolist() == [
        ["none", 0],
        *([name, strength] for name in CORRUPTIONS for strength in (1, 2, 3)),
    ]
    wrong = table[table["accuracy"] < 1]
    assert wrong[["corruption", "strength", "accuracy"]].values.tolist() == [["darkness", 2, 0.5], ["darkness", 3, 0.5]]
    assert (table["n"] == 40).all()
    low, high = wilson_interval(20, 40)
    assert wrong[["low", "high"]].values.tolist() == [[low, high]] * 2
    assert low < 0.5 < high
    assert robustness.mean_accuracy(table) == pytest.approx(17 / 18)


def test_a_sample_of_many_images_is_measured_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(60) % 2
    images = np.where(labels, 180, 20)[:, None, None, None].astype(np.uint8) + np.zeros((60, 8, 8, 1), np.uint8)
    monkeypatch.setattr(robustness, "rows_per_chunk", lambda *_, **__: 7)
    table = robustness.measure(_bright_or_dark(), images, labels, most=40)
    assert (table["n"] == 40).all()
    assert table["accuracy"].tolist() == pytest.approx([1] * 8 + [0.5] * 2 + [1] * 9)


def test_without_a_measurement_there_is_no_mean() -> None:
    table = robustness.not_measured()
    assert table.columns.tolist() == ["corruption", "strength", "accuracy", "low", "high", "n"]
    assert robustness.mean_accuracy(table) is None


def test_the_sample_has_the_same_fraction_of_each_class_and_is_always_the_same() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [6000, 3000, 1000]))
    chosen = robustness.sample(labels, 1000)
    assert np.bincount(labels[chosen]).tolist() == [600, 300, 100]
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(chosen, robustness.sample(labels, 1000))
    assert chosen.mean() == pytest.approx(5000, abs=500)  # not the first ones


@pytest.mark.parametrize(
    ("labels", "most"),
    [([0], 1000), ([3, 1, 2], 1000), ([0, 0, 0, 5], 2), (list(range(20)), 7), ([0] * 30 + [1], 30)],
)
def test_a_sample_of_few_images_and_rare_classes(labels: list[int], most: int) -> None:
    chosen = robustness.sample(np.array(labels), most)
    assert len(set(chosen.tolist())) == min(len(labels), most)
    assert set(chosen) <= set(range(len(labels)))
