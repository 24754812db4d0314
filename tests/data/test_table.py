import io
from pathlib import Path

import pandas as pd
import pytest

from reprocnn.data.table import read_table
from reprocnn.errors import UserError

COLUMNS = {"file": ["a b.png", "ü.png"], "label": ["Katze", ""]}


def _read(content: bytes, name: str = "x/labels.csv") -> dict[str, list[str]]:
    return read_table(Path("pets"), name, content).columns


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_is_read_as_spreadsheets_write_it(delimiter: str, encoding: str, end: str) -> None:
    lines = [f"file{delimiter}label", f"a b.png{delimiter} Katze ", "", f"ü.png{delimiter}", ""]
    assert _read(end.join(lines).encode(encoding)) == COLUMNS


def test_a_cell_in_quotes_may_contain_delimiters_and_line_breaks() -> None:
    assert _read(b'file,note\na.png,"a, b; c\nd"\n') == {"file": ["a.png"], "note": ["a, b; c\nd"]}


def test_a_column_without_a_name_has_its_number_and_empty_cells_after_the_last_column_are_ignored() -> None:
    assert _read(b",file,label,,\n0,a.png,cat,,\n") == {"column 1": ["0"], "file": ["a.png"], "label": ["cat"]}


def test_values_of_parquet_become_text_and_nested_columns_are_left_out() -> None:
    frame = pd.DataFrame(
        {
            "file": ["a", "b", None],
            "label": pd.Categorical(["cat", "dog", "cat"]),
            "grade": [3.0, None, 0.5],
            "n": [1, 2, 3],
            "image": [{"bytes": b"x"}] * 3,
            "bytes": [b"x"] * 3,
        }
    )
    frame.to_parquet(buffer := io.BytesIO())
    assert _read(buffer.getvalue(), "labels.parquet") == {
        "file": ["a", "b", ""],
        "label": ["cat", "dog", "cat"],
        "grade": ["3", "", "0.5"],
        "n": ["1", "2", "3"],
    }


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"file,label\na.png,cat\nb.png\n", "l.csv", "l.csv, line 3: expected 2 cells as in the first line, found 1"),
        (b"file,label\na.png,cat,x\n", "l.csv", "line 2: expected 2 cells as in the first line, found 3"),
        (b"file,file\na.png,cat\n", "l.csv", "several columns 'file'"),
        (b"file,label\na.png,\xe9\n", "l.csv", "line 2 is not UTF-8"),
        (b'file,label\na.png,"cat\n', "l.csv", "line 2: unexpected end of data"),
        (b"file,label\n", "l.parquet", "l.parquet is not a Parquet file"),
    ],
)
def test_what_is_no_table_is_refused_with_the_line(content: bytes, name: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        _read(content, name)
    assert expected in caught.value.problem


def test_a_table_is_described_by_its_columns_and_their_first_values() -> None:
    content = ",".join(f"c{i}" for i in range(14)) + "\n" + ",".join("x" * 40 for _ in range(14)) + "\n"
    text = read_table(Path("pets"), "l.csv", content.encode()).describe()
    assert text.startswith("l.csv with the columns c0 (" + "x" * 30 + "), c1 (")
    assert text.endswith(") and 2 more")
