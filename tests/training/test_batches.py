import numpy as np

from reprocnn.artifacts.split import Split
from reprocnn.training.batches import Batches

IMAGES = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
LABELS = np.eye(10, dtype=np.float32)


def _epochs(seed: int | None, n: int = 2, first: int = 0) -> list[list[int]]:
    batches = Batches(Split(IMAGES, LABELS), 4, seed, epoch=first)
    seen = []
    for _ in range(n):
        rows = [batches[i] for i in range(batches.num_batches)]
        for images, labels in rows:
            np.testing.assert_array_equal(labels.argmax(axis=1), images.ravel())
        seen.append([int(v) for images, _ in rows for v in images.ravel()])
        batches.on_epoch_end()
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


def test_the_last_batch_may_be_smaller() -> None:
    batches = Batches(Split(IMAGES, LABELS), 4, None)
    assert [len(batches[i][0]) for i in range(batches.num_batches)] == [4, 4, 2]


def _flipped(epoch: int, seed: int = 0) -> list[bool]:
    images = np.zeros((64, 2, 2, 1), np.float32)
    images[:, 0, 0] = 1
    split = Split(images, np.eye(64, dtype=np.float32))
    batches = Batches(split, 10, seed, epoch=epoch, alternating_flip=True)
    seen = {}
    for i in range(batches.num_batches):
        for image, label in zip(*batches[i], strict=True):
            assert image.sum() == 1
            seen[int(label.argmax())] = bool(image[0, 1, 0] == 1)
    assert images[:, 0, 0].all()  # the arrays are not changed
    return [seen[i] for i in range(64)]


def test_two_epochs_show_each_image_both_ways() -> None:
    first = _flipped(0)
    assert 16 < sum(first) < 48
    assert _flipped(1) == [not flip for flip in first]
    assert _flipped(2) == _flipped(128) == first != _flipped(2, seed=1)
