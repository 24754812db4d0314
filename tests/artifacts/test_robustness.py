from pathlib import Path

import pandas as pd
import pytest

from reprocnn.artifacts.robustness import COLUMNS, read_robustness, write_robustness
from reprocnn.artifacts.tables import write_csv
from reprocnn.errors import UserError

TABLE = pd.DataFrame([("none", 0, 0.9, 0.8, 0.95, 100), ("blur", 1, 0.5, 0.4, 0.6, 100)], columns=list(COLUMNS))


@pytest.mark.parametrize("n", [0, 2])
def test_a_table_is_read_back(tmp_path: Path, n: int) -> None:
    write_robustness(tmp_path / "a.csv", TABLE[:n])
    pd.testing.assert_frame_equal(read_robustness(tmp_path / "a.csv"), TABLE[:n], check_dtype=False)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "corruption,strength,accuracy,low,high,n"


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", TABLE.drop(columns="low"))
    with pytest.raises(UserError, match=r"expected the columns corruption, .*\n  fix: dvc repro --force evaluate"):
        read_robustness(tmp_path / "a.csv")
