import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from reprocnn.evaluation.calibration import (
    accuracy_threshold,
    calibrate,
    conformal_quantile,
    conformal_sets,
    fit_temperature,
)
from reprocnn.evaluation.metrics import loss
from reprocnn.inference.temperature import apply_temperature, softmax

Sample = tuple[NDArray[np.float64], NDArray[np.int64]]


def _sample(n: int, factor: float, classes: int = 10) -> Sample:
    """Labels that are drawn from softmax(z), and the probabilities softmax(factor * z)."""
    random = np.random.default_rng(0)
    z = random.normal(0, 2, (n, classes))
    labels = (softmax(z).cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return softmax(factor * z), labels


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_temperature_of_an_overconfident_model_is_found(factor: float, dtype: type) -> None:
    probabilities, labels = _sample(10_000, factor)
    temperature = fit_temperature(probabilities.astype(dtype), labels)
    assert temperature == pytest.approx(factor, rel=0.03)
    assert temperature == float(f"{temperature:.6g}")
    calibrated = apply_temperature(probabilities, temperature)
    assert loss(calibrated, labels) <= loss(probabilities, labels) + 1e-9
    for other in (0.99, 1.01):
        assert loss(apply_temperature(probabilities, temperature * other), labels) > loss(calibrated, labels)


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 20.0])
def test_the_most_probable_class_stays(temperature: float) -> None:
    probabilities, _ = _sample(1000, 3.0, classes=100)
    changed = apply_temperature(probabilities.astype(np.float32), temperature)
    np.testing.assert_array_equal(changed.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(changed.sum(axis=1), 1)


def test_the_temperature_1_changes_nothing_and_a_probability_of_0_stays_small() -> None:
    probabilities = np.array([[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, atol=1e-30)
    assert apply_temperature(probabilities, 2.0)[1, 1] < 1e-18
    assert apply_temperature(np.empty((0, 3)), 2.0).shape == (0, 3)


CERTAIN = np.eye(3)[[0, 1, 2, 0]]


@pytest.mark.parametrize(
    ("probabilities", "labels", "temperature"),
    [
        (CERTAIN, [0, 1, 2, 0], 1.0),  # all are right: the loss falls to the coldest temperature
        (np.full((4, 3), 1 / 3), [0, 1, 2, 1], 1.0),  # the model learned nothing
        (np.tile([0.5, 0.3, 0.2], (4, 1)), [2, 2, 2, 2], 20.0),  # all are wrong
        (CERTAIN, [1, 2, 0, 1], 20.0),
        ([[0.9, 0.1]], [0], 1.0),
        ([[0.9, 0.1]], [1], 20.0),
    ],
)
def test_the_temperature_is_bounded(probabilities: NDArray[np.float64], labels: list[int], temperature: float) -> None:
    assert fit_temperature(probabilities, np.array(labels)) == temperature


def test_one_certain_mistake_among_many_has_a_finite_temperature() -> None:
    probabilities, labels = np.eye(4)[np.zeros(1000, int)].astype(np.float32), np.zeros(1000, int)
    labels[0] = 1  # classes 2 and 3 are absent
    assert 1 < fit_temperature(probabilities, labels) < 20
    fitted = calibrate(probabilities, labels)
    calibrated = apply_temperature(probabilities, fitted.temperature)
    assert loss(calibrated, labels) < loss(probabilities, labels)
    assert fitted.threshold_99 == calibrated.max().round(6)  # 999 of 1000 with the same confidence


def test_the_threshold_is_the_lowest_that_reaches_the_accuracy() -> None:
    confidence = np.linspace(0.99, 0.51, 400)
    labels = np.zeros(400, np.int64)
    labels[[100, 210, 300, 301, 302]] = 1  # mistakes
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    threshold = accuracy_threshold(probabilities, labels)
    assert threshold == confidence[300].round(6)  # 3 mistakes of 301 are less than 1 %, 4 of 302 are more
    for other in np.unique(confidence.round(6)):
        kept = confidence.round(6) >= other
        if other < threshold:
            assert labels[kept].mean() > 0.01


def test_images_of_equal_confidence_are_kept_or_left_out_together() -> None:
    probabilities = np.tile([0.8, 0.2], (10, 1))
    labels = np.array([0] * 9 + [1])
    assert accuracy_threshold(probabilities, labels) is None
    assert accuracy_threshold(probabilities, labels, percent=90) == 0.8
    assert accuracy_threshold(probabilities[:1], np.array([1])) is None
    assert accuracy_threshold(probabilities[:1], np.array([0])) == 0.8


@pytest.mark.parametrize(("n", "rank"), [(9, 9), (10, 10), (19, 18), (99, 90), (109, 99), (1000, 901)])
def test_the_quantile_is_the_score_of_a_rank(n: int, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, n + 1) / (n + 1))
    probabilities = np.stack([1 - scores, scores], axis=1)
    assert conformal_quantile(probabilities, np.zeros(n, np.int64)) == pytest.approx(rank / (n + 1), rel=2e-6)


def test_too_few_images_give_sets_of_all_classes() -> None:
    probabilities = np.array([[0.999, 0.001, 0.0]] * 8)
    quantile = conformal_quantile(probabilities, np.zeros(8, np.int64))
    assert quantile == 1
    assert conformal_sets(probabilities, quantile).all()


def test_rounding_the_quantile_keeps_its_own_image() -> None:
    probabilities, labels = _sample(500, 2.0)
    quantile = conformal_quantile(probabilities, labels)
    covered = conformal_sets(probabilities, quantile)[np.arange(500), labels]
    assert covered.sum() == 451  # rank 501 * 0.9, rounded up


@pytest.fixture(scope="module")
def digits() -> Sample:
    """Probabilities of a logistic regression for 1,297 digits that it was not trained on."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    train, rest = order[:500], order[500:]
    model = LogisticRegression(max_iter=300).fit(images[train] / 16, labels[train])
    return model.predict_proba(images[rest] / 16), labels[rest].astype(np.int64)


def test_conformal_sets_cover_90_percent_of_new_images(digits: Sample) -> None:
    probabilities, labels = digits
    random, covered = np.random.default_rng(0), []
    for _ in range(20):
        order = random.permutation(len(labels))
        calibration, test = order[:400], order[400:]
        fitted = calibrate(probabilities[calibration], labels[calibration])
        sets = conformal_sets(apply_temperature(probabilities[test], fitted.temperature), fitted.conformal_quantile_90)
        covered.append(sets[np.arange(len(test)), labels[test]].mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)
    assert np.std(covered) < 0.04


def test_a_temperature_that_was_fitted_to_other_images_lowers_the_loss(digits: Sample) -> None:
    """A model that was trained to be too confident: its probabilities to the power of 4."""
    probabilities, labels = digits
    sharp = apply_temperature(probabilities, 0.25)
    temperature = fit_temperature(sharp[:400], labels[:400])
    assert loss(apply_temperature(sharp[400:], temperature), labels[400:]) < loss(sharp[400:], labels[400:])
