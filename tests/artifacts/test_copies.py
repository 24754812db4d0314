from pathlib import Path

import pandas as pd
import pytest

from reprocnn.artifacts.copies import read_copies, write_copies
from reprocnn.artifacts.tables import write_csv
from reprocnn.errors import UserError

PAIRS = pd.DataFrame(
    {
        "first": ["1", "a.png", "b,.png", "c.png"],
        "second": ["NA", "t1.png", "c.png", "t1.png"],
        "kind": ["duplicate", "near_duplicate", "near_duplicate", "duplicate"],
        "similarity": [1.0, 0.97, 0.96, 1.0],
    }
)


@pytest.mark.parametrize("n", [0, 4])
def test_copies_are_read_back_with_their_names(tmp_path: Path, n: int) -> None:
    write_copies(tmp_path / "copies.csv", PAIRS[:n])
    pd.testing.assert_frame_equal(read_copies(tmp_path / "copies.csv"), PAIRS[:n], check_dtype=n > 0)


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "copies.csv", PAIRS.drop(columns="kind"))
    with pytest.raises(UserError, match="expected the columns first, second, kind, similarity"):
        read_copies(tmp_path / "copies.csv")
