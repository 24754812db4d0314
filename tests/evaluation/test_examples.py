import numpy as np
import pandas as pd
from numpy.typing import NDArray

from made_files import made_files
from reprocnn.evaluation import predictions
from reprocnn.evaluation.examples import examples


def _select(
    labels: list[int], predicted: list[int], confidences: list[float], side: int = 2
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Select examples among images of two classes whose pixels have the value of their index, up to 255."""
    first = [c if p == 0 else 1 - c for c, p in zip(confidences, predicted, strict=True)]
    probabilities = np.array([[value, 1 - value] for value in first])
    pixels = np.minimum(np.arange(len(labels)), 255).astype(np.uint8)
    images = np.broadcast_to(pixels[:, None, None, None], (len(labels), side, side, 1))
    table = predictions.table(probabilities, np.array(labels), ["a", "b"], made_files(images))
    return examples(table, probabilities, images)


def test_the_most_confident_come_first_each_with_its_image() -> None:
    rows, images = _select([0, 1, 0, 1], [0, 0, 1, 1], [0.9, 0.6, 0.8, 0.7])
    assert rows["index"].tolist() == [0, 2, 3, 1]
    assert rows["actual"].tolist() == ["a", "a", "b", "b"]
    assert images[:, 0, 0, 0].tolist() == [0, 2, 3, 1]


def test_a_cell_has_8_images_and_the_20_most_confident_mistakes_are_there_in_any_case() -> None:
    confidences = [0.99 - 0.001 * i for i in range(60)]
    rows, _ = _select([0] * 60, [0] * 30 + [1] * 30, confidences)
    assert rows["index"].tolist() == [*range(8), *range(30, 50)]


def test_of_too_many_images_those_with_the_lowest_rank_in_their_cell_are_kept() -> None:
    n = 400
    probabilities = np.full((n * 9, n), 0.5 / n)
    labels = np.repeat(np.arange(n), 9)
    probabilities[np.arange(n * 9), labels] = 1 - np.linspace(0, 0.4, n * 9)
    images = np.zeros((n * 9, 1, 1, 3), np.uint8)
    table = predictions.table(probabilities, labels, list(map(str, range(n))), made_files(images))
    rows, images = examples(table, probabilities, images)
    assert len(rows) == len(images) == 1500
    assert rows.groupby("actual").size().between(3, 4).all()


def test_large_images_are_reduced() -> None:
    _, images = _select([0, 1], [0, 1], [0.9, 0.8], side=300)
    assert images.shape == (2, 128, 128, 1)
    assert images[1].tolist() == np.full((128, 128, 1), 1).tolist()
