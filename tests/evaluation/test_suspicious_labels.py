import numpy as np

from made_files import made_files
from reprocnn.evaluation.suspicious_labels import suspicious_labels

NAMES = ["cat", "dog", "nan"]


def test_wrong_labels_are_named_and_the_most_suspicious_have_an_image() -> None:
    n, wrong = 300, [3, 7, 10, *range(100, 122)]
    actual = np.arange(n) % 3
    labels = actual.copy()
    labels[wrong] = (labels[wrong] + 1) % 3
    probabilities = np.full((n, 3), 0.05)
    probabilities[np.arange(n), actual] = 0.9
    probabilities[7] = 0.01 / 2
    probabilities[7, actual[7]] = 0.99
    images = np.random.default_rng(0).integers(0, 256, (n, 200, 100, 3)).astype(np.uint8)
    found = suspicious_labels(probabilities, labels, images, made_files(images), NAMES)
    assert sorted(found.rows["index"]) == wrong
    assert found.rows.iloc[0].to_dict() == {
        "index": 7,
        "file": "made#7",
        "label": "nan",
        "suggested": "dog",
        "score": 0.9925,
        "probability": 0.99,
    }
    assert found.images.shape == (20, 128, 64, 3)


def test_without_wrong_labels_there_are_no_images() -> None:
    images = np.zeros((6, 8, 8, 1), np.uint8)
    labels = np.arange(6) % 3
    found = suspicious_labels(np.eye(3)[labels] * 0.9 + 0.03, labels, images, made_files(images), NAMES)
    assert found.rows.empty
    assert found.images.shape == (0, 8, 8, 1)
