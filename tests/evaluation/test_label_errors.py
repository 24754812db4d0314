import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from reprocnn.evaluation.label_errors import label_errors


@pytest.mark.parametrize("seed", range(3))
def test_most_of_the_swapped_labels_of_digits_are_found(seed: int) -> None:
    digits, random = load_digits(), np.random.default_rng(seed)
    swapped = random.choice(len(digits.target), 36, replace=False)
    labels = digits.target.copy()
    labels[swapped] = (labels[swapped] + random.integers(1, 10, 36)) % 10
    model = KNeighborsClassifier(10)
    probabilities = cross_val_predict(model, digits.data / 16, labels, cv=4, method="predict_proba")
    found = label_errors(labels, probabilities)
    hits = found["row"].isin(swapped)
    assert hits.sum() / len(swapped) >= 0.8
    assert hits.mean() >= 0.5
    assert (found["suggested"][hits] == digits.target[found["row"][hits]]).mean() > 0.9
    assert found["score"].is_monotonic_decreasing
    assert found["score"].between(0.5, 1).all()


def _probabilities(of: list[float]) -> NDArray[np.float64]:
    """Return probabilities of two classes from those of the first one."""
    return np.array([[p, 1 - p] for p in of])


def test_an_image_of_the_other_class_is_found_with_its_margin() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found = label_errors(labels, _probabilities([0.9, 0.8, 0.9, 0.1, 0.2, 0.1, 0.2, 0.1]))
    assert found.to_numpy().tolist() == [[3, 1, 0.9]]


def test_a_model_that_agrees_with_all_labels_finds_nothing() -> None:
    assert label_errors(np.array([0, 0, 1]), _probabilities([0.9, 0.6, 0.1])).empty
    assert label_errors(np.array([0, 1]), _probabilities([1.0, 0.0])).empty


def test_a_class_without_images_does_no_harm() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    assert label_errors(np.array([0, 0, 1, 1]), probabilities)["suggested"].isin([0, 1]).all()
