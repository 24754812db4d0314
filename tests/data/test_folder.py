import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from made_files import NO_COPIES
from reprocnn.data import folder
from reprocnn.data.division import Division, divide
from reprocnn.data.raw import RawData
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places

Make = Callable[..., None]


def _load(path: Path, size: int = 8, mode: str = "rgb") -> tuple[RawData, np.ndarray]:
    params = DownloadParams(dataset="folder", folder=str(path), image_size=size, color_mode=mode)  # type: ignore[arg-type]
    data = folder.load(params, places())
    return data, data.images


def _divide(path: Path) -> Division:
    return divide(_load(path)[0], NO_COPIES, DownloadParams(test_fraction=0.34), {})


def _zip(source: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.rglob("*")):
            archive.write(file, file.relative_to(source))
    return path


def _tar(source: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, arcname=".")
    return path


def _png(mode: str = "RGB", size: tuple[int, int] = (9, 9), color: object = None) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, color or 0).save(buffer, "PNG")  # type: ignore[arg-type]
    return buffer.getvalue()


def test_each_folder_is_a_class_and_the_test_split_is_stratified(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path, ("dog", "a cat", "Übung"), n=6)
    data, images = _load(tmp_path)
    assert data.class_names == ["a cat", "dog", "Übung"]
    assert (images.shape, images.dtype) == ((18, 8, 8, 3), np.uint8)
    assert sorted(np.bincount(data.labels[_divide(tmp_path).test]).tolist()) == [2, 2, 3]


@pytest.mark.parametrize("pack", [_zip, _tar])
def test_an_archive_gives_the_same_images_as_the_folder(
    tmp_path: Path, make_images: Make, pack: Callable[[Path, Path], Path]
) -> None:
    make_images(tmp_path / "in" / "pets" / "train")
    make_images(tmp_path / "in" / "pets" / "test", n=2)
    (tmp_path / "in" / "pets" / "README.md").write_text("about")
    (tmp_path / "in" / "pets" / ".DS_Store").write_text("")
    path = pack(tmp_path / "in", tmp_path / "archive")

    def load_set(path: Path) -> set[tuple[int, str, bytes]]:
        data, images = _load(path)
        rows = zip(data.labels.tolist(), data.given, images, strict=True)
        return {(label, given, image.tobytes()) for label, given, image in rows}

    assert load_set(path) == load_set(tmp_path / "in")
    assert len(load_set(path)) == 16


def test_a_folder_with_only_an_archive_is_read_as_the_archive(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "README.md").write_text("about")
    _zip(tmp_path / "in", tmp_path / "images" / "pets.zip")
    assert _load(tmp_path / "images")[0].class_names == ["cat", "dog"]


def test_the_users_train_and_test_splits_are_kept(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "train", n=4)
    make_images(tmp_path / "test", n=1)
    division = _divide(tmp_path)
    assert (len(division.train), len(division.test)) == (8, 2)


def test_without_test_a_part_of_train_becomes_the_test_split(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "train", n=4)
    division = _divide(tmp_path)
    assert division.data.class_names == ["cat", "dog"]
    assert len(division.test) == 3


def _labels(data: RawData) -> dict[str, tuple[str, str, str]]:
    """Return file -> class, given split, group."""
    classes = [data.class_names[label] for label in data.labels]
    return dict(zip(data.files, zip(classes, data.given, data.groups, strict=True), strict=True))


@pytest.mark.parametrize("pack", [None, _zip, _tar])
def test_a_table_is_read_from_a_folder_and_from_an_archive(
    tmp_path: Path,
    make_images: Make,
    pack: Callable[[Path, Path], Path] | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_images(tmp_path / "in", ("Übung 1",), n=4)
    lines = [
        "Datei;Klasse;split;patient",
        "0.PNG;Katze;train;p1",
        "Übung 1\\1;Hund;train;",
        "2;Hund;val;p2",
        "3;Hund;test;p3",
    ]
    (tmp_path / "in" / "labels.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    data, images = _load(pack(tmp_path / "in", tmp_path / "a") if pack else tmp_path / "in")
    assert _labels(data) == {
        "Übung 1/0.png": ("Katze", "train", "p1"),
        "Übung 1/1.png": ("Hund", "train", ""),
        "Übung 1/2.png": ("Hund", "validation", "p2"),
        "Übung 1/3.png": ("Hund", "test", "p3"),
    }
    told = "labels.csv: file from Datei, class from Klasse, split from split, group from patient"
    assert capsys.readouterr().out.splitlines()[1] == told
    assert len(images) == 4


@pytest.mark.parametrize("pack", [None, _zip, _tar])
def test_a_table_in_parquet_is_read(
    tmp_path: Path, make_images: Make, pack: Callable[[Path, Path], Path] | None
) -> None:
    make_images(tmp_path / "in", ("img",), n=4)
    pd.DataFrame({"id": [0, 1, 2, 3], "grade": [1, 2, 1, 2]}).to_parquet(tmp_path / "in" / "labels.parquet")
    data, _ = _load(pack(tmp_path / "in", tmp_path / "a") if pack else tmp_path / "in")
    assert [labels[0] for labels in _labels(data).values()] == ["1", "2", "1", "2"]


@pytest.mark.parametrize("pack", [None, _zip, _tar])
def test_the_given_validation_split_is_kept(
    tmp_path: Path,
    make_images: Make,
    pack: Callable[[Path, Path], Path] | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for split, n in (("train", 4), ("valid", 2), ("test", 1)):
        make_images(tmp_path / "in" / split, n=n)
    data, _ = _load(pack(tmp_path / "in", tmp_path / "a") if pack else tmp_path / "in")
    assert Counter(data.given) == {"train": 8, "validation": 4, "test": 2}
    assert "validation images from the class folders in valid/" in capsys.readouterr().out


@pytest.mark.parametrize("pack", [None, _zip, _tar])
def test_classes_and_groups_are_read_from_file_names(
    tmp_path: Path, make_images: Make, pack: Callable[[Path, Path], Path] | None
) -> None:
    make_images(tmp_path / "made", ("cat", "dog"), n=3)
    (tmp_path / "in").mkdir()
    for file in (tmp_path / "made").rglob("*.png"):
        file.rename(tmp_path / "in" / f"{file.parent.name}_{file.stem} ä.PNG")
    path = pack(tmp_path / "in", tmp_path / "a") if pack else tmp_path / "in"
    params = {"class_pattern": r"([a-z]+)_", "group_pattern": r"_(\d)"}
    data = folder.load(DownloadParams(dataset="folder", folder=str(path), image_size=8, **params), places())
    assert _labels(data)["dog_2 ä.PNG"] == ("dog", "", "2")
    assert len(data.images) == 6


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "no images found"),
        ({"README.md": b"x"}, "no images found"),
        ({"cat/1.png": _png(), "cat/2.png": _png()}, "at least two classes, found only 'cat'"),
        ({"1.png": _png(), "cat/2.png": _png()}, "1.png is not in a class folder"),
        ({"1.png": _png()}, "1.png is not in a class folder"),
        ({"train/1.png": _png(), "train/cat/2.png": _png()}, "train/1.png is not in a class folder"),
        (
            {"train/cat/1.png": _png(), "train/dog/1.png": _png(), "val/2.png": _png()},
            "the images in val/ are not in class folders",
        ),
        (
            {"train/cat/1.png": _png(), "train/dog/1.png": _png(), "test/cow/2.png": _png()},
            "class 'cow' in the test split but not in train/",
        ),
        (
            {"cat/1.png": _png(), "cat/2.png": _png(), "dog/1.png": _png()},
            "at least 2 images per class to split by test_fraction, found 1 of class 'dog'",
        ),
        (
            {f"{c}/{i}.png": _png() for c in ("cat", "dog") for i in range(4)} | {"cat/my notes é.txt": b"hello"},
            "  not an image that Pillow can read (1):\n    cat/my notes é.txt\n  fix: convert it to PNG",
        ),
        (
            {f"{c}/{i}.png": _png(size=(50, 50)) for c in ("cat", "dog") for i in range(4)}
            | {"dog/broken.png": _png(size=(90, 90), color=(1, 2, 3))[:60]},
            "  truncated: the file ends early (1):\n    dog/broken.png\n  fix: copy or download it again",
        ),
    ],
)
def test_a_wrong_folder_is_refused_with_the_reason(tmp_path: Path, files: dict[str, bytes], expected: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        _divide(tmp_path)
    assert expected in str(caught.value)


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_a_corrupt_or_truncated_tar_is_an_error(tmp_path: Path, make_images: Make, compression: str) -> None:
    make_images(tmp_path / "in", n=20)
    with tarfile.open(tmp_path / "a", f"w:{compression}") as archive:
        archive.add(tmp_path / "in", arcname=".")
    content = (tmp_path / "a").read_bytes()
    assert len(_load(tmp_path / "a")[0].labels) == 40
    altered = bytearray(content)
    altered[len(content) // 2 // 512 * 512 + 150 if not compression else len(content) // 2] ^= 255
    for broken in (content[: len(content) * 999 // 1000 if compression else len(content) // 2 // 512 * 512], altered):
        (tmp_path / "a").write_bytes(broken)
        with pytest.raises(UserError):
            _load(tmp_path / "a")


def test_the_error_names_a_corrupt_member_of_a_zip(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in", n=4)
    path = _zip(tmp_path / "in", tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"dog/2.png") + 200] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"corrupt in the archive \(1\):\n    dog/2.png: Bad CRC-32.*\n  fix: download"):
        _load(path)


def test_the_error_names_an_empty_class_folder(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path)
    (tmp_path / "bird").mkdir()
    with pytest.raises(UserError, match="no images in bird/"):
        _load(tmp_path)


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "cat/../../evil.png"])
def test_an_archive_with_a_path_outside_itself_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, _png())
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    for archive_path in (tmp_path / "a.zip", tmp_path / "a.tar"):
        with pytest.raises(UserError, match="points outside"):
            _load(archive_path)


def test_links_in_archives_and_links_to_directories_are_refused(tmp_path: Path, make_images: Make) -> None:
    link = tarfile.TarInfo("cat/1.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(link)
    with pytest.raises(UserError, match="is a link or a device"):
        _load(tmp_path / "a.tar")
    info = zipfile.ZipInfo("cat/1.png")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="is a link or a device"):
        _load(tmp_path / "a.zip")
    make_images(tmp_path / "images")
    (tmp_path / "images" / "cow").symlink_to(tmp_path / "images" / "cat")
    with pytest.raises(UserError, match="symbolic link to a directory"):
        _load(tmp_path / "images")


def test_a_corrupt_archive_is_refused(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in", n=40, size=30)
    for pack in (_zip, _tar):
        path = pack(tmp_path / "in", tmp_path / "archive")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UserError, match="archive"):
            _load(path)
    (tmp_path / "archive").write_text("hello")
    with pytest.raises(UserError, match="neither a directory nor a zip or tar archive"):
        _load(tmp_path / "archive")


def test_the_error_names_a_folder_that_does_not_exist(here: Path) -> None:
    with pytest.raises(UserError, match="folder: pets does not exist"):
        _load(Path("pets"))
