import numpy as np
import pytest

from reprocnn.data.splits import held_out
from reprocnn.errors import UserError

NAMES = ["cat", "dog"]


def test_classes_keep_their_proportions() -> None:
    labels = np.repeat([0, 1], [300, 100])
    mask = held_out(labels, NAMES, 0.2, 0, "test_fraction")
    assert np.bincount(labels[mask]).tolist() == [60, 20]


def test_the_error_names_a_class_with_one_image() -> None:
    with pytest.raises(
        UserError, match="at least 2 images per class to split by test_fraction, found 1 of class 'dog'"
    ):
        held_out(np.array([0, 0, 0, 1]), NAMES, 0.5, 0, "test_fraction")


def test_a_part_with_fewer_images_than_classes_is_refused() -> None:
    with pytest.raises(UserError, match=r"validation_fraction=0.1 of 4 images"):
        held_out(np.array([0, 0, 1, 1]), NAMES, 0.1, 0, "validation_fraction")
