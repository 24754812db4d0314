from pathlib import Path

import pandas as pd
import pytest

from reprocnn.artifacts.tables import read_table, write_csv
from reprocnn.errors import UserError


def test_csv_keeps_class_names_that_look_like_numbers_or_missing_values(tmp_path: Path) -> None:
    table = pd.DataFrame({"class": ["007", "NA", "1.0", "a,b", 'say "x"', "ümlaut"], "n": range(6)})
    write_csv(tmp_path / "a.csv", table)
    back = read_table(tmp_path / "a.csv", ("class", "n"), ("class",), "plot")
    assert back["class"].tolist() == table["class"].tolist()


def test_csv_keeps_nan_and_infinity(tmp_path: Path) -> None:
    table = pd.DataFrame({"loss": [0.1, float("nan"), float("inf")], "n": [1, 2, 3]})
    write_csv(tmp_path / "a.csv", table)
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.csv", ("loss",), (), "plot"), table)


def test_a_table_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"class": ["NA"], "count": [1]}))
    assert read_table(tmp_path / "a.csv", ("class", "count"), ("class",), "plot")["class"].tolist() == ["NA"]
    with pytest.raises(UserError) as error:
        read_table(tmp_path / "a.csv", ("class", "n"), ("class",), "evaluate")
    assert str(error.value) == (
        f"error: {tmp_path}/a.csv: expected the columns class, n, found class, count\n  fix: dvc repro --force evaluate"
    )
