import numpy as np
import pandas as pd

from made_files import NO_COPIES
from reprocnn.evaluation.labelled_copies import labelled_copies

FILES = ["a.png", "b.png", "c.png", "d.png"]
LABELS = np.array([0, 0, 1, 1])


def test_copies_with_different_labels_are_conflicts_and_the_most_similar_pair_is_first() -> None:
    pairs = [
        ("c.png", "a.png", "near_duplicate", 0.961),
        ("a.png", "b.png", "near_duplicate", 0.97),
        ("b.png", "d.png", "duplicate", 1.0),
        ("c.png", "d.png", "duplicate", 1.0),
    ]
    found = labelled_copies(pd.DataFrame(pairs, columns=NO_COPIES.columns), FILES, LABELS)
    assert list(found.itertuples(index=False, name=None)) == [
        (1, 3, "conflict", 1.0, "equal pixels"),
        (2, 3, "duplicate", 1.0, "equal pixels"),
        (0, 1, "near_duplicate", 0.97, "similarity 0.97"),
        (0, 2, "conflict", 0.961, "similarity 0.96"),
    ]


def test_a_data_set_without_copies_has_none_with_labels() -> None:
    assert labelled_copies(NO_COPIES, FILES, LABELS).empty
