import time

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss

from reprocnn.evaluation import confidence
from reprocnn.evaluation.metrics import wilson_interval
from reprocnn.inference.temperature import apply_temperature, softmax

N, CLASSES = 600, 5


@pytest.fixture(scope="module")
def sample() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities of an overconfident model, and labels."""
    random = np.random.default_rng(0)
    z = random.normal(0, 2, (N, CLASSES))
    labels = (softmax(z).cumsum(axis=1) < random.random((N, 1))).sum(axis=1)
    return softmax(2 * z), labels


def _two_classes(values: list[float]) -> NDArray[np.float64]:
    return np.stack([np.array(values), 1 - np.array(values)], axis=1)


def test_loss_and_brier_score_equal_those_of_scikit_learn(
    sample: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    probabilities, labels = sample
    scores = confidence.calibration_scores(probabilities, labels)
    assert scores["loss"] == pytest.approx(log_loss(labels, probabilities), abs=1e-5)
    expected = brier_score_loss(labels, probabilities, labels=range(CLASSES), scale_by_half=False)
    assert scores["brier"] == pytest.approx(expected, abs=1e-6)


def test_the_calibration_error_equals_a_loop_over_the_bins(
    sample: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    probabilities, labels = sample
    expected = 0.0
    for number in range(15):
        members = [
            (max(row), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if number / 15 <= max(row) < (number + 1) / 15
        ]
        if members:
            mean, accuracy = np.mean(members, axis=0)
            expected += len(members) / N * abs(mean - accuracy)
    assert confidence.expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_a_calibrated_bin_has_no_error_and_a_certain_mistake_all() -> None:
    assert confidence.expected_calibration_error(_two_classes([0.75] * 4), np.array([0, 0, 0, 1])) == 0
    assert confidence.expected_calibration_error(np.eye(2), np.array([1, 0])) == 1
    assert confidence.expected_calibration_error(np.eye(2), np.array([0, 1])) == 0


def test_the_interval_of_the_calibration_error_contains_the_true_error() -> None:
    """In most of 20 samples, also if the model is calibrated: its true error is 0, that of a sample never."""
    random, found = np.random.default_rng(0), {0.0: 0, 0.15: 0}
    for error in found:
        for _ in range(20):
            probability = random.uniform(0.7, 0.9, 300)
            labels = (random.random(300) > probability - error).astype(np.int64)
            scores = confidence.calibration_scores(_two_classes(list(probability)), labels)
            assert 0 <= scores["ece_low"] <= scores["ece"] <= scores["ece_high"]
            found[error] += scores["ece_low"] <= error <= scores["ece_high"]
    assert min(found.values()) >= 16


def test_all_metrics_of_one_image_and_of_perfect_predictions_are_finite() -> None:
    for probabilities, labels in ((_two_classes([0.75]), [1]), (np.eye(3)[[0, 1, 1]], [0, 1, 1])):
        scores = confidence.scores(probabilities, apply_temperature(probabilities, 2.0), np.array(labels), None, 1.0)
        assert np.isfinite(list(scores.values())).all()
        assert not any(str(value) == "-0.0" for value in scores.values())
        assert scores["threshold_99_coverage"] == 0
        assert "threshold_99_accuracy" not in scores
        assert scores["conformal_90_coverage"] == 1
        assert len(confidence.coverage(probabilities, np.array(labels))) == 20


def test_reliability_has_a_row_per_bin_before_and_after() -> None:
    probabilities, labels = _two_classes([0.9, 0.92, 0.55, 0.1]), np.array([0, 1, 0, 1])
    table = confidence.reliability(probabilities, apply_temperature(probabilities, 20.0), labels)
    assert list(table) == [
        *("bin", "n", "confidence", "accuracy"),
        *("calibrated_n", "calibrated_confidence", "calibrated_accuracy"),
    ]
    assert table["bin"].tolist() == pytest.approx([(2 * number + 1) / 30 for number in range(15)], abs=1e-6)
    assert table["n"].tolist() == [0] * 8 + [1] + [0] * 4 + [3, 0]
    assert table.loc[13, "confidence"] == pytest.approx((0.9 + 0.92 + 0.9) / 3, abs=1e-6)
    assert table.loc[13, "accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert table["accuracy"].isna().sum() == 13
    assert table["calibrated_n"].tolist() == [0] * 7 + [4] + [0] * 7
    assert table.loc[7, "calibrated_accuracy"] == 0.75


def test_coverage_keeps_the_most_confident_images() -> None:
    probabilities = _two_classes([0.6, 0.9, 0.7, 0.8])
    table = confidence.coverage(probabilities, np.array([1, 0, 0, 0]))
    assert list(table) == ["coverage", "threshold", "accuracy", "accuracy_low", "accuracy_high", "n"]
    assert table["n"].tolist() == [1] * 5 + [2] * 5 + [3] * 5 + [4] * 5
    assert table["threshold"].iloc[[0, 5, 10, 15]].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert table["accuracy"].iloc[[0, 14, 19]].tolist() == [1, 1, 0.75]
    assert tuple(table[["accuracy_low", "accuracy_high"]].iloc[19]) == wilson_interval(3, 4)


def test_a_threshold_answers_the_images_with_at_least_its_confidence() -> None:
    probabilities = _two_classes([0.6, 0.9, 0.8000000001, 0.7])
    scores = confidence.threshold_scores(probabilities, np.array([0, 1, 0, 0]), 0.8)
    low, high = wilson_interval(1, 2)
    assert scores == {"coverage": 0.5, "accuracy": 0.5, "accuracy_low": low, "accuracy_high": high}


def test_conformal_sets_are_counted_by_size() -> None:
    probabilities = np.array([[0.5, 0.5, 0.0], [0.8, 0.1, 0.1], [0.4, 0.3, 0.3], [0.9, 0.1, 0.0]])
    scores = confidence.conformal_scores(probabilities, np.array([1, 0, 0, 1]), quantile=0.5)
    low, high = wilson_interval(2, 4)
    assert scores == {
        "coverage": 0.5,
        "coverage_low": low,
        "coverage_high": high,
        "size": 1.0,
        "single": 0.5,
        "empty": 0.25,
    }


def test_ten_thousand_images_of_100_classes_take_less_than_two_seconds() -> None:
    random = np.random.default_rng(0)
    probabilities, labels = softmax(random.normal(0, 3, (10_000, 100))), random.integers(0, 100, 10_000)
    start = time.process_time()
    confidence.calibration_scores(probabilities, labels)
    assert time.process_time() - start < 2
