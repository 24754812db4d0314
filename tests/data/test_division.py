from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from made_files import NO_COPIES
from reprocnn.artifacts.corrections import Correction
from reprocnn.artifacts.dataset import DatasetCard
from reprocnn.data.division import Division, card, describe_counts, name_copies
from reprocnn.data.division import divide as divide_with_copies
from reprocnn.data.raw import RawData, numbered
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams


def _data(given: Sequence[str] = ("",) * 40, groups: Sequence[str] = ("",) * 40, classes: int = 2) -> RawData:
    n = len(given)
    names = [f"c{i}" for i in range(classes)]
    labels = np.arange(n) % classes
    return RawData(names, labels, np.zeros((n, 2, 2, 1), np.uint8), numbered("x", n), given, groups)


def _pairs(*pairs: tuple[int, int]) -> pd.DataFrame:
    """Make a table of copies, as `find_copies` returns them."""
    if not pairs:
        return NO_COPIES
    first, second = zip(*pairs, strict=True)
    return pd.DataFrame({"first": first, "second": second, "kind": "near_duplicate", "similarity": 0.97})


def divide(data: RawData, params: DownloadParams, corrections: dict[str, Correction]) -> Division:
    return divide_with_copies(data, _pairs(), params, corrections)


def test_the_test_split_of_the_source_is_taken() -> None:
    data = _data(["train"] * 3 + ["test"] * 2 + ["validation"])
    division = divide(data, DownloadParams(), {})
    assert (division.train.tolist(), division.test.tolist()) == ([0, 1, 2, 5], [3, 4])
    assert division.messages == []
    assert name_copies(NO_COPIES, division).empty
    assert card(division, "mine") == DatasetCard("mine", ("c0", "c1"), (2, 2, 1), n_train=4, n_test=2)


def test_a_test_split_is_drawn_by_the_seed_and_leaves_the_given_validation_split_alone() -> None:
    data = _data(["train"] * 30 + ["validation"] * 10)
    first, again, other = (divide(data, DownloadParams(split_seed=seed), {}) for seed in (0, 0, 1))
    assert first.test.tolist() == again.test.tolist() != other.test.tolist()
    assert len(first.test) == 6
    assert max(first.test) < 30
    assert first.messages == ["test split: 15.0% of the images (15.0% to 15.0% of each class), split_by image"]


def test_groups_are_kept_in_one_split() -> None:
    groups = [f"g{i // 4}" for i in range(40)]
    division = divide(_data(groups=groups), DownloadParams(split_by="group"), {})
    train, test = ({groups[row] for row in rows.tolist()} for rows in (division.train, division.test))
    assert len(test) == 2
    assert not train & test
    assert "split_by group" in division.messages[0]


def test_images_without_groups_can_not_be_split_by_group() -> None:
    with pytest.raises(UserError, match="split_by: group needs a group for each image, found none"):
        divide(_data(), DownloadParams(split_by="group"), {})


def test_the_error_names_a_class_without_training_images() -> None:
    with pytest.raises(UserError, match="training images of every class, found none of class 'c1'"):
        divide(_data(["train", "test"]), DownloadParams(), {})


def test_corrections_leave_images_out_and_change_labels_but_not_which_images_are_tested() -> None:
    data = _data()
    before = divide(data, DownloadParams(), {})
    a, b, tested = before.train[0], before.train[1], before.test[0]
    lines = {
        f"x#{a}": Correction(None, in_test=False),
        f"x#{b}": Correction(f"c{1 - data.labels[b]}", in_test=False),
        f"x#{tested}": Correction(None, in_test=False),
        f"x#{before.test[1]}": Correction(f"c{1 - data.labels[before.test[1]]}", in_test=True),
        "other.png": Correction(None, in_test=False),
    }
    after = divide(data, DownloadParams(), lines)
    assert after.test.tolist() == before.test.tolist()
    assert after.train.tolist() == before.train.tolist()[1:]
    assert np.flatnonzero(after.data.labels != data.labels).tolist() == sorted([b, before.test[1]])
    assert after.messages[1:] == [
        "left out 1 image(s) (data/exclude.csv), changed the label of 2 (data/relabel.csv)",
        "did not apply 1 correction(s) of test images: their split is not `test`",
        "ignored 1 correction(s) of images that this data set lacks",
    ]


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"data/relabel.csv: x#0: 'dog' is not a class\n  fix: .*: c0, c1"):
        divide(_data(), DownloadParams(), {"x#0": Correction("dog", in_test=True)})


def test_the_messages_list_the_images_per_class_or_with_many_classes_the_range() -> None:
    division = divide(_data(["train"] * 8 + ["test"] * 2), DownloadParams(), {})
    assert describe_counts(division) == [
        "2 classes:",
        "   train    test  class",
        "       4       1  c0",
        "       4       1  c1",
    ]
    lines = describe_counts(divide(_data([""] * 90, [""] * 90, classes=30), DownloadParams(test_fraction=0.34), {}))
    assert lines[-1].strip() == "and 20 more, each with 1 to 2 training and 1 to 2 test images"
    assert len(lines) == 2 + 10 + 1


@pytest.mark.parametrize("seed", range(3))
def test_copies_are_kept_in_one_split_if_asked_for(seed: int) -> None:
    pairs = _pairs(*((i, i + 1) for i in range(0, 30, 2)))
    division = divide_with_copies(_data(), pairs, DownloadParams(split_by="near_duplicate", split_seed=seed), {})
    tested = set(division.test.tolist())
    assert len(tested) == 8
    assert all((i in tested) == (i + 1 in tested) for i in range(0, 30, 2))
    assert division.messages[1] == "copies: 15 pair(s) of images; 0 test image(s) are copies of training images"


def test_copies_across_the_splits_are_counted_and_named_by_file() -> None:
    data = _data(["train"] * 4 + ["test"] * 4)
    pairs = _pairs((0, 1), (0, 4), (1, 4), (2, 5), (3, 6), (4, 7))
    left_out = {"x#3": Correction(None, in_test=False)}
    division = divide_with_copies(data, pairs, DownloadParams(), left_out)
    assert division.messages[-1] == (
        "copies: 6 pair(s) of images; 2 test image(s) are copies of training images, see `split_by` in params.yaml"
    )
    named = name_copies(pairs, division)
    assert named[["first", "second"]].to_numpy().tolist() == [
        ["x#0", "x#1"],
        ["x#0", "x#4"],
        ["x#1", "x#4"],
        ["x#2", "x#5"],
        ["x#4", "x#7"],
    ]
