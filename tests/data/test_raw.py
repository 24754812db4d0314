from pathlib import Path

import numpy as np
import pytest

from reprocnn.artifacts.image_files import ImageFiles, read_image_files
from reprocnn.artifacts.split import read_split
from reprocnn.data.raw import RawData, image_hash, write_split
from reprocnn.errors import UserError


def _data() -> RawData:
    images = np.arange(20, dtype=np.uint8).reshape(5, 2, 2, 1)
    files = [f"{name}.png" for name in ("a", "b", "ü", 'c,"', "e\udce9")]  # the last one is a byte that isn't UTF-8
    return RawData(["a", "b"], np.array([0, 1, 0, 1, 1]), images, files, ["train"] * 5, ["g", "", "h", "", ""])


def test_the_images_of_some_rows_are_written_in_order_with_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reprocnn.artifacts.split.CHUNK_BYTES", 2 * 2 * 2 * 4)
    data = _data()
    write_split(data, np.array([0, 2, 3, 4]), tmp_path / "train")
    images, labels = read_split(tmp_path / "train")
    assert labels.tolist() == [0, 0, 1, 1]
    assert images[:, 0, 0, 0].tolist() == [0, 8, 12, 16]
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    files = read_image_files(tmp_path / "train")
    assert files.file == [data.files[row] for row in (0, 2, 3, 4)]
    assert (files.group, files.split) == (["g", "h", "", ""], ["train"] * 4)
    assert files.image == [image_hash(image) for image in images]


def test_nothing_is_written_if_reading_the_images_fails(tmp_path: Path) -> None:
    class Broken:
        shape = (5, 2, 2, 1)

        def __getitem__(self, rows: object) -> None:
            raise OSError("disk")

    data = RawData(["a"], np.zeros(5, np.int64), Broken(), [""] * 5, [""] * 5, [""] * 5)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="disk"):
        write_split(data, np.arange(5), tmp_path / "train")
    assert not list(tmp_path.iterdir())


def test_a_split_without_images_has_an_empty_list(tmp_path: Path) -> None:
    write_split(_data(), np.array([], np.int64), tmp_path / "test")
    assert read_image_files(tmp_path / "test") == ImageFiles([], [], [], [])


@pytest.mark.parametrize(("content", "found"), [(None, "found none"), ("row,name\n", "found row, name")])
def test_data_of_an_older_version_are_named_with_the_command_that_renews_them(
    tmp_path: Path, content: str | None, found: str
) -> None:
    if content:
        (tmp_path / "files.csv").write_text(content)
    with pytest.raises(UserError, match=found) as caught:
        read_image_files(tmp_path)
    assert caught.value.fix == "dvc repro --force download"
