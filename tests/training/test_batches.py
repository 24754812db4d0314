import numpy as np
import pytest

from reprocnn.artifacts.split import Split
from reprocnn.training.batches import Batches

IMAGES = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
LABELS = np.eye(10, dtype=np.float32)


def _epochs(seed: int | None, n: int = 2, first: int = 0) -> list[list[int]]:
    batches = Batches(Split(IMAGES, LABELS), 4, seed)
    dataset, seen = batches.dataset(), []
    for epoch in range(first, first + n):
        batches.begin_epoch(epoch)
        rows = list(dataset.as_numpy_iterator())
        for images, labels in rows:
            np.testing.assert_array_equal(labels.argmax(axis=1), images.ravel())
        seen.append([int(v) for images, _ in rows for v in images.ravel()])
    return seen


def test_an_epoch_has_every_image_once_in_its_own_order() -> None:
    first, second = _epochs(seed=0)
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    many = _epochs(seed=0, n=20)
    assert len({tuple(order) for order in many}) == 20


def test_the_order_depends_only_on_seed_and_epoch() -> None:
    assert _epochs(seed=3) == _epochs(seed=3)
    assert _epochs(seed=3) != _epochs(seed=4)


def test_a_resumed_training_run_has_the_orders_of_the_later_epochs() -> None:
    assert _epochs(seed=3, n=2, first=2) == _epochs(seed=3, n=4)[2:]


def test_without_a_seed_the_order_is_that_of_the_arrays() -> None:
    assert _epochs(seed=None) == [list(range(10))] * 2


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(4, [4] * 150), (7, [7] * 85 + [5]), (512, [512, 88]), (600, [600])],
    ids=["whole", "remainder", "one group each", "one batch"],
)
def test_the_last_batch_may_be_smaller(size: int, sizes: list[int]) -> None:
    """Groups of several batches do not change the batches."""
    labels = np.zeros((600, 2), np.float32)
    labels[:, 0] = np.arange(600)
    dataset = Batches(Split(labels.reshape(600, 2, 1, 1), labels), size, None).dataset()
    seen = [batch[:, 0] for _, batch in dataset.as_numpy_iterator()]
    assert [len(batch) for batch in seen] == sizes
    assert len(dataset) == len(sizes)
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(600))


def _flipped(epoch: int, seed: int = 0) -> list[bool]:
    images = np.zeros((64, 2, 2, 1), np.float32)
    images[:, 0, 0] = 1
    batches = Batches(Split(images, np.eye(64, dtype=np.float32)), 10, seed, alternating_flip=True)
    batches.begin_epoch(epoch)
    seen = {}
    for batch in batches.dataset().as_numpy_iterator():
        for image, label in zip(*batch, strict=True):
            assert image.sum() == 1
            seen[int(label.argmax())] = bool(image[0, 1, 0] == 1)
    assert images[:, 0, 0].all()  # the arrays are not changed
    return [seen[i] for i in range(64)]


def test_two_epochs_show_each_image_both_ways() -> None:
    first = _flipped(0)
    assert 16 < sum(first) < 48
    assert _flipped(1) == [not flip for flip in first]
    assert _flipped(2) == _flipped(128) == first != _flipped(2, seed=1)
