from pathlib import Path

import pytest

from reprocnn.artifacts.corrections import EXCLUDE, RELABEL, Correction, read_corrections
from reprocnn.errors import UserError

HEADS = ("file,split,reason\n", "file,label,split,reason\n")


def _read(folder: Path, exclude: str = HEADS[0], relabel: str = HEADS[1]) -> dict[str, Correction]:
    (folder / "exclude.csv").write_bytes(exclude.encode("utf-8", "surrogateescape"))
    (folder / "relabel.csv").write_bytes(relabel.encode())
    return read_corrections(folder / "exclude.csv", folder / "relabel.csv")


def test_the_committed_files_have_no_corrections() -> None:
    repository = Path(__file__).parents[2]
    assert read_corrections(repository / EXCLUDE, repository / RELABEL) == {}


def test_lines_are_read_as_spreadsheets_write_them(tmp_path: Path) -> None:
    exclude = '\ufefffile,split,reason\r\na.png,,\r\n"b,1.png",test,blurred\r\n\udce9.png\r\n\r\n'
    relabel = HEADS[1] + "c.png,cat,train,\nd.png,dog,test,looked at\n"
    assert _read(tmp_path, exclude, relabel) == {
        "a.png": Correction(None, in_test=False),
        "b,1.png": Correction(None, in_test=True),
        "\udce9.png": Correction(None, in_test=False),
        "c.png": Correction("cat", in_test=False),
        "d.png": Correction("dog", in_test=True),
    }


@pytest.mark.parametrize(
    ("exclude", "relabel", "expected"),
    [
        ("", HEADS[1], "expected the first line file,split,reason, found an empty file"),
        ("a.png\n", HEADS[1], "expected the first line file,split,reason, found a.png"),
        (HEADS[0] + "a.png,valid,\n", HEADS[1], "line 2: expected the split train, test or nothing, found 'valid'"),
        (HEADS[0] + ",train,x\n", HEADS[1], "line 2: file is empty"),
        (HEADS[0], HEADS[1] + "a.png,,,\n", "line 2: label is empty"),
        (HEADS[0] + "a.png\n", HEADS[1] + "a.png,cat\n", "line 2: 'a.png' has a line already"),
        (HEADS[0] + "a.png\na.png\n", HEADS[1], "line 3: 'a.png' has a line already"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path: Path, exclude: str, relabel: str, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        _read(tmp_path, exclude, relabel)
    assert expected in caught.value.problem


def test_a_missing_file_is_restored_from_git(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exclude.csv is missing\n  fix: git checkout -- "):
        read_corrections(tmp_path / "exclude.csv", tmp_path / "relabel.csv")
