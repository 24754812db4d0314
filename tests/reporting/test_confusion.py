import numpy as np
import pytest

from reprocnn.reporting import confusion


def test_classes_that_are_confused_become_neighbours() -> None:
    counts = np.full((6, 6), 0) + 10 * np.eye(6, dtype=np.int64)
    for i, j in ((0, 3), (1, 4), (2, 5)):
        counts[i, j] = counts[j, i] = 5
    order = confusion.similarity_order(counts)
    assert sorted(order) == list(range(6))
    assert all(abs(order.index(i) - order.index(i + 3)) == 1 for i in range(3))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_classes_and_classes_without_images_have_an_order(n: int) -> None:
    assert sorted(confusion.similarity_order(np.zeros((n, n), np.int64))) == list(range(n))


def test_the_most_frequent_mistakes_come_first() -> None:
    counts = np.array([[5, 1, 3], [0, 5, 0], [2, 0, 5]])
    assert confusion.most_confused(counts, 2) == [(0, 2, 3), (2, 0, 2)]
    assert confusion.most_confused(np.eye(2, dtype=np.int64)) == []
