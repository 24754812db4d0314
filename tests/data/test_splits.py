import numpy as np
import pytest

from reprocnn.data.splits import held_out
from reprocnn.errors import UserError

NAMES = ["cat", "dog"]


def test_classes_keep_their_proportions() -> None:
    labels = np.repeat([0, 1], [300, 100])
    mask = held_out(labels, NAMES, 0.2, 0, "test_fraction")
    assert np.bincount(labels[mask]).tolist() == [60, 20]


def test_a_class_with_one_image_is_named() -> None:
    with pytest.raises(UserError, match="class 'dog' has 1 image"):
        held_out(np.array([0, 0, 0, 1]), NAMES, 0.5, 0, "test_fraction")


def test_a_part_smaller_than_the_classes_is_refused() -> None:
    with pytest.raises(UserError, match=r"validation_fraction=0.1 of 4 images"):
        held_out(np.array([0, 0, 1, 1]), NAMES, 0.1, 0, "validation_fraction")
