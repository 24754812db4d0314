import statistics

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import f1_score
from statsmodels.stats import contingency_tables, multitest
from statsmodels.stats.proportion import proportion_confint

from reprocnn.evaluation import comparison


def _answers(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether two classifiers, which often make the same mistakes, are right about n images."""
    random = np.random.default_rng(seed)
    hard = random.random(n) < 0.2
    return ~(hard & (random.random(n) < 0.8)), ~(hard & (random.random(n) < 0.5))


@pytest.mark.parametrize(("n", "seed"), [(30, 0), (360, 1), (2000, 2)])
def test_mcnemar_is_that_of_statsmodels(n: int, seed: int) -> None:
    first, second = _answers(n, seed)
    found = comparison.compare(first, second)
    table = [[found.both_right, found.only_first], [found.only_second, found.both_wrong]]
    assert np.sum(table) == found.n == n
    assert (found.both_right + found.only_first, found.both_right + found.only_second) == (first.sum(), second.sum())
    assert found.p_value == pytest.approx(contingency_tables.mcnemar(table, exact=True).pvalue)
    assert found.difference == pytest.approx(second.mean() - first.mean())


@pytest.mark.parametrize(("n", "seed"), [(30, 0), (360, 1), (2000, 2)])
def test_the_interval_of_the_difference_is_that_of_scipy(n: int, seed: int) -> None:
    first, second = _answers(n, seed)
    expected = bootstrap(
        (first, second),
        lambda one, other, axis: other.mean(axis=axis) - one.mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=comparison.RESAMPLES,
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = comparison.compare(first, second)
    assert found.low < found.difference < found.high
    # Both are random, in steps of one image.
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=max(1.01 / n, 0.05 * (found.high - found.low)))
    assert comparison.compare(first, second) == found
    mirrored = comparison.compare(second, first)
    assert mirrored.difference == -found.difference
    assert mirrored.p_value == found.p_value


def test_equal_classifiers_do_not_differ() -> None:
    first, _ = _answers(40, 0)
    found = comparison.compare(first, first)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(("right", "n"), [(0, 30), (139, 144), (360, 360), (9321, 10000)])
def test_the_interval_of_an_accuracy_is_that_of_statsmodels(right: int, n: int) -> None:
    accuracy = float(np.float32(right / n))  # as Keras computes it
    expected = proportion_confint(right, n, method="wilson")
    assert comparison.accuracy_interval(accuracy, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "classes", "right"), [(40, 3, 0.7), (360, 10, 0.95), (500, 30, 0.2)])
def test_the_interval_of_macro_f1_is_that_of_scikit_learn_in_samples(n: int, classes: int, right: float) -> None:
    random = np.random.default_rng(1)
    actual = random.integers(1, classes, n)  # no image of class 0, which is predicted all the same
    predicted = np.where(random.random(n) < right, actual, random.integers(0, classes, n))

    def macro_f1(images: np.ndarray) -> float:
        present = np.unique(actual[images])
        return f1_score(actual[images], predicted[images], labels=present, average="macro", zero_division=0)

    found = bootstrap(
        (np.arange(n),), macro_f1, vectorized=False, method="percentile", n_resamples=1000, rng=random
    ).confidence_interval
    names = np.array([f"class {i}" for i in range(classes)])
    interval = comparison.macro_f1_interval(pd.Series(names[actual]), pd.Series(names[predicted]))
    assert interval == pytest.approx(tuple(found), abs=0.1 * (found.high - found.low))  # both are random
    assert interval == comparison.macro_f1_interval(pd.Series(names[actual]), pd.Series(names[predicted]))


def test_the_interval_of_macro_f1_without_mistakes_is_1() -> None:
    classes = pd.Series(["a", "b", "b", "c"] * 10)
    assert comparison.macro_f1_interval(classes, classes) == (1, 1)


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03, 0.005], [0.9, 0.2, 0.2], [0.03], [0.0, 1.0, 0.5, 0.5, 0.02]])
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    expected = multitest.multipletests(p_values, method="holm")[1]
    assert comparison.holm(p_values) == pytest.approx(expected.tolist())


def test_holm_without_tests() -> None:
    assert comparison.holm([]) == []


def test_spread_has_the_standard_deviation_of_a_sample() -> None:
    values = [0.9, 0.95, 0.97]
    found = comparison.spread(values)
    assert (found.mean, found.std, found.n) == (pytest.approx(np.mean(values)), statistics.stdev(values), 3)
    assert comparison.spread([0.5]) == comparison.Spread(0.5, None, 1)


def _table(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image", "actual", "predicted"])
    return table.assign(index=np.arange(len(rows)), confidence=0.9)


def test_images_are_matched_by_hash_class_and_occurrence() -> None:
    first = _table([("x", "a", "1"), ("y", "a", "2"), ("x", "a", "3"), ("z", "b", "4"), ("t", "a", "5")])
    second = _table([("z", "b", "6"), ("x", "b", "7"), ("x", "a", "8"), ("w", "a", "9"), ("t", "b", "0")])
    found = comparison.match(first, second)
    assert found[["image", "index_1", "index_2"]].to_numpy().tolist() == [["x", 0, 2], ["z", 3, 0]]
    assert found[["predicted_1", "predicted_2"]].to_numpy().tolist() == [["1", "8"], ["4", "6"]]
    twice = comparison.match(first, first)
    assert twice["index_1"].tolist() == twice["index_2"].tolist() == [0, 1, 2, 3, 4]
    assert comparison.match(first, second[:0]).empty
