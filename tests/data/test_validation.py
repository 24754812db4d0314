import numpy as np
import pandas as pd
import pytest

from made_files import NO_COPIES
from reprocnn.artifacts.image_files import ImageFiles
from reprocnn.data.validation import validation_images
from reprocnn.params import PreprocessParams

NAMES = ["cat", "dog"]
LABELS = np.arange(40) % 2


def _files(split: str = "", groups: list[str] | None = None) -> ImageFiles:
    """Name 40 images of which the last 10 have the given split."""
    names = [str(i) for i in range(40)]
    return ImageFiles(names, groups or [""] * 40, [""] * 30 + [split] * 10, names)


def test_the_validation_split_of_the_source_is_taken() -> None:
    mask, message = validation_images(LABELS, NAMES, _files("validation"), NO_COPIES, PreprocessParams())
    assert np.flatnonzero(mask).tolist() == list(range(30, 40))
    assert message == "validation split: as in the source"


def test_otherwise_a_stratified_part_is_drawn_by_the_seed() -> None:
    params = [PreprocessParams(split_seed=seed) for seed in (0, 0, 1)]
    first, again, other = (validation_images(LABELS, NAMES, _files(), NO_COPIES, p)[0] for p in params)
    assert (first == again).all()
    assert (first != other).any()
    assert np.bincount(LABELS[first]).tolist() == [2, 2]


def test_a_group_is_not_divided() -> None:
    groups = [str(i // 4) for i in range(40)]
    mask, message = validation_images(
        LABELS, NAMES, _files(groups=groups), NO_COPIES, PreprocessParams(split_by="group")
    )
    assert mask.sum() == 4
    assert len({groups[i] for i in np.flatnonzero(mask)}) == 1
    assert message == "validation split: 10.0% of the images (10.0% to 10.0% of each class), split_by group"
    assert validation_images(LABELS, NAMES, _files(groups=groups), NO_COPIES, PreprocessParams())[0].sum() == 4


@pytest.mark.parametrize("split", ["train", ""])
def test_a_source_without_a_validation_split_gets_one(split: str) -> None:
    assert validation_images(LABELS, NAMES, _files(split), NO_COPIES, PreprocessParams())[0].sum() == 4


def test_copies_are_not_divided_and_those_of_test_images_are_ignored() -> None:
    pairs = [(str(i), str(i + 1)) for i in range(0, 40, 2)] + [("0", "test.png"), ("test.png", "2")]
    copies = pd.DataFrame(pairs, columns=["first", "second"])
    mask, message = validation_images(LABELS, NAMES, _files(), copies, PreprocessParams(split_by="near_duplicate"))
    assert mask.sum() == 4
    assert (mask[::2] == mask[1::2]).all()
    assert message.endswith("split_by near_duplicate")
