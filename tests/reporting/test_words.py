import numpy as np
import pytest

from reprocnn.artifacts.history import Epoch
from reprocnn.reporting import words


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ([[3, 0], [2, 5]], "Wrong on 2 of 10 test images; most often takes b for a (2 times)."),
        ([[3, 1], [1, 5]], "Wrong on 2 of 10 test images; no two mistakes are alike."),
        ([[3, 0], [0, 5]], "Right on all 8 test images."),
        ([[0, 3], [0, 5]], "It answers b for every image: it has not learned to tell the classes apart."),
        ([[1, 0], [0, 0]], "Right on all 1 test images."),
    ],
)
def test_the_mistakes_in_a_sentence(counts: list[list[int]], sentence: str) -> None:
    assert words.mistakes(np.array(counts), ["a", "b"]) == sentence


def _history(*epochs: tuple[float, float, float]) -> list[Epoch]:
    """Make a history of (training accuracy, validation accuracy, validation loss)."""
    return [Epoch(i, 0.1, train, loss, validation, 0.001) for i, (train, validation, loss) in enumerate(epochs, 1)]


@pytest.mark.parametrize(
    ("epochs", "n_classes", "found"),
    [
        ([(0.5, 0.1, 2.3)], 10, "Underfitting: the validation accuracy is that of guessing (10.0% at best"),
        ([(0.5, 0.6, 2.3)], 10, "One epoch only"),
        ([(0.5, 0.6, 1.0), (0.9, 0.7, 0.9)], 10, "Overfitting: training accuracy 90.0%, validation accuracy 70.0%"),
        ([(0.5, 0.6, 0.5), (0.6, 0.6, 0.6), (0.6, 0.6, 0.9)], 10, "Overfitting: validation loss rises from 0.500 (ep"),
        ([(0.5, 0.6, 0.5), (0.7, 0.7, 0.4)], 10, "Not finished"),
        ([(0.5, 0.8, 0.4), (0.7, 0.7, 0.4)], 10, "No clear overfitting: in the last epoch, training accuracy 70.0%"),
    ],
)
def test_what_the_curves_show(epochs: list[tuple[float, float, float]], n_classes: int, found: str) -> None:
    assert words.fit(_history(*epochs), n_classes).startswith(found)
