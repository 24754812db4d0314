import numpy as np
import pytest

from reprocnn.data.splits import Draw, group_numbers, held_out
from reprocnn.errors import UserError

NAMES = ["cat", "dog"]


def test_classes_keep_their_proportions() -> None:
    labels = np.repeat([0, 1], [300, 100])
    mask = held_out(labels, NAMES, Draw("test_fraction", 0.2, 0))
    assert np.bincount(labels[mask]).tolist() == [60, 20]


def test_the_error_names_a_class_with_one_image() -> None:
    with pytest.raises(
        UserError, match="at least 2 images per class to split by test_fraction, found 1 of class 'dog'"
    ):
        held_out(np.array([0, 0, 0, 1]), NAMES, Draw("test_fraction", 0.5, 0))


def test_a_part_with_fewer_images_than_classes_is_refused() -> None:
    with pytest.raises(UserError, match=r"validation_fraction=0.1 of 4 images"):
        held_out(np.array([0, 0, 1, 1]), NAMES, Draw("validation_fraction", 0.1, 0))


def _grouped(seed: int, fraction: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split 2,000 images in 300 groups, which have images of both classes; return labels, groups and the mask."""
    random = np.random.default_rng(seed)
    labels, groups = random.integers(0, 2, 2000), random.integers(0, 300, 2000)
    return labels, groups, held_out(labels, NAMES, Draw("test_fraction", fraction, seed), groups)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.7])
def test_a_group_stays_in_one_part_and_the_classes_keep_their_proportions(seed: int, fraction: float) -> None:
    labels, groups, mask = _grouped(seed, fraction)
    assert not set(groups[mask]) & set(groups[~mask])
    parts = np.bincount(labels[mask]) / np.bincount(labels)
    assert parts == pytest.approx([fraction, fraction], abs=0.02)


def test_the_groups_are_drawn_by_the_seed() -> None:
    labels, groups, mask = _grouped(0)
    again, other = (held_out(labels, NAMES, Draw("test_fraction", 0.2, seed), groups) for seed in (0, 1))
    assert (mask == again).all()
    assert (mask != other).any()


def test_a_class_of_large_groups_only_has_one_of_them_in_the_chosen_part() -> None:
    labels = np.repeat([0, 1], [100, 60])
    groups = np.concatenate([np.arange(100), np.repeat([100, 101], [35, 25])])
    mask = held_out(labels, NAMES, Draw("test_fraction", 0.1, 0), groups)
    assert (mask[:100].sum(), mask[100:].sum()) == (10, 25)


def test_a_class_with_one_group_can_not_be_split() -> None:
    labels, groups = np.repeat([0, 1], 4), np.array([0, 1, 2, 3, 9, 9, 9, 9])
    with pytest.raises(UserError, match="at least 2 groups per class .*, found 1 of class 'dog'"):
        held_out(labels, NAMES, Draw("test_fraction", 0.3, 0), groups)


def test_images_without_a_group_are_groups_of_their_own() -> None:
    numbers = group_numbers(["b", "", "a", "b", ""])
    assert numbers[0] == numbers[3]
    assert len(set(numbers.tolist())) == 4
