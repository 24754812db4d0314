import io
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reprocnn.data.pictures import count_pictures, list_pictures
from reprocnn.inference.unreadable import UnreadableError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a/c.png", "a/.hidden.png", "README.md", "Thumbs.db"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(name.encode())
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("d/e.jpg", b"e")
    return tmp_path


def test_folders_and_archives_are_searched_and_names_are_as_typed(photos: Path) -> None:
    listed = ["photos/", "more.zip", "photos/b.jpg", "missing.png"]
    found = list(list_pictures(listed, str(photos)))
    assert [name for name, _ in found] == ["photos/b.jpg", "photos/a/c.png", "more.zip/d/e.jpg", *listed[2:]]
    assert count_pictures(listed, str(photos)) == 5
    assert found[1][1]() == b"a/c.png"
    with pytest.raises(FileNotFoundError):
        found[-1][1]()


def test_an_archive_is_read_while_it_is_listed(photos: Path) -> None:
    assert [read() for _, read in list_pictures([str(photos / "more.zip")])] == [b"e"]
    with tarfile.open(photos / "more.tar", "w") as archive:
        archive.add(photos / "photos" / "b.jpg", "b.jpg")
    assert [read() for _, read in list_pictures([str(photos / "more.tar")])] == [b"b.jpg"]
    assert count_pictures([str(photos / "more.tar")]) is None  # it would be read twice


def test_a_folder_or_archive_that_cannot_be_listed_fails_when_it_is_read(photos: Path) -> None:
    (photos / "photos" / "a" / "loop").symlink_to(photos / "photos", target_is_directory=True)
    (photos / "broken.zip").write_bytes(b"no archive")
    found = dict(list_pictures(["photos", "broken.zip", "photos/b.jpg"], str(photos)))
    assert found["photos/b.jpg"]() == b"b.jpg"
    for name, problem in (("photos", "is a symbolic link to a directory"), ("broken.zip", "neither a directory nor")):
        with pytest.raises(UnreadableError, match=problem):
            found[name]()


def test_a_truncated_tar_and_a_name_that_is_too_long_fail_when_they_are_read(photos: Path) -> None:
    (photos / "large.jpg").write_bytes(np.random.default_rng(0).bytes(100_000))
    with tarfile.open(photos / "more.tgz", "w:gz") as archive:
        archive.add(photos / "large.jpg", "large.jpg")
    content = (photos / "more.tgz").read_bytes()
    (photos / "more.tgz").write_bytes(content[: len(content) // 2])
    failed = []
    for name, read in list_pictures([str(photos / "more.tgz"), "x" * 300]):
        with pytest.raises((UnreadableError, OSError)):
            read()
        failed.append(Path(name).name)
    assert failed[0] == "large.jpg"
    assert failed[-1] == "x" * 300


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"pixels")))
    ((name, read),) = list_pictures(["-"])
    assert (name, read()) == ("-", b"pixels")
