"""What changes between listing and reading, and files that are not images."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reprocnn.data import folder, raw, source, unreadable
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places

Make = Callable[..., None]


def _load(path: Path, size: int = 8) -> raw.RawData:
    params = DownloadParams(dataset="folder", folder=str(path), image_size=size, test_fraction=0.34)
    return folder.load(params, places())


def _write(path: Path, into: Path) -> None:
    """As the download stage does."""
    data = _load(path)
    raw.write_splits(data, into / "train", into / "test")


def _refused(path: Path, into: Path) -> str:
    with pytest.raises(UserError) as caught:
        _write(path, into)
    assert not list(into.rglob("*.npy"))
    return str(caught.value)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Does something after the files were listed, before they are read."""

    def do(change: Callable[[], object]) -> None:
        def list_then_change(path: Path) -> source.Source:
            found = source.list_source(path)
            change()
            return found

        monkeypatch.setattr(folder, "list_source", list_then_change)

    return do


Between = Callable[[Callable[[], object]], None]


def test_an_image_that_went_away_is_told(tmp_path: Path, make_images: Make, between: Between) -> None:
    for number, name in enumerate(("cat/0.png", "cat/3.png", "dog/5.png")):
        path = tmp_path / f"images{number}"
        make_images(path)
        between((path / name).unlink)
        assert f"changed while it was read: {name} went away\n  fix: run again" in _refused(path, tmp_path / "out")


def test_an_image_that_goes_away_just_before_it_is_read_is_told(
    tmp_path: Path, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images")
    gone, read_bytes = tmp_path / "images" / "cat" / "3.png", Path.read_bytes

    def read(path: Path) -> bytes:
        if path == gone:
            path.unlink()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert "changed while it was read: cat/3.png went away" in _refused(tmp_path / "images", tmp_path / "out")


def test_a_class_that_went_away_is_told(tmp_path: Path, make_images: Make, between: Between) -> None:
    make_images(tmp_path / "images", classes=("cat", "cow", "dog"))
    between(lambda: (tmp_path / "images" / "cow").rename(tmp_path / "cow"))
    assert "changed while it was read: cow/0.png went away" in _refused(tmp_path / "images", tmp_path / "out")


def test_an_image_that_appeared_is_told_and_litter_is_not(tmp_path: Path, make_images: Make, between: Between) -> None:
    make_images(tmp_path / "images")
    between(lambda: (tmp_path / "images" / "cat" / ".DS_Store").write_bytes(b""))
    _write(tmp_path / "images", tmp_path / "out")
    between(lambda: (tmp_path / "images" / "dog" / "new.png").write_bytes(b""))
    assert "changed while it was read: dog/new.png is new" in _refused(tmp_path / "images", tmp_path / "other")


def test_an_archive_that_was_replaced_is_told_whatever_is_in_it_now(
    tmp_path: Path, make_images: Make, between: Between
) -> None:
    make_images(tmp_path / "in")
    for content in ("the same names", "broken"):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((tmp_path / "in").rglob("*.png")):
                archive.write(file, file.relative_to(tmp_path / "in"))
        (tmp_path / "b.zip").write_bytes(path.read_bytes() if content != "broken" else path.read_bytes()[:900])
        between(lambda: (tmp_path / "b.zip").replace(tmp_path / "a.zip"))
        assert "a.zip changed while it was read: it was replaced" in _refused(path, tmp_path / "out")


def test_a_name_that_is_in_an_archive_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("cat/1.png", b"")
        archive.writestr("cat/1.png", b"")
    assert "cat/1.png is in there twice" in _refused(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("parent", [".hidden", "x.tmp", "@eaDir"])
@pytest.mark.parametrize("left", [(), ("Thumbs.db",), ("@eaDir/1.jpg",)])
def test_a_class_folder_without_images_is_named_wherever_the_folder_is(
    tmp_path: Path, make_images: Make, parent: str, left: tuple[str, ...]
) -> None:
    images = tmp_path / parent / "pets"
    make_images(images)
    for name in ("", *left):
        place = images / "bird" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"") if name else place.mkdir()
    assert "no images in bird/\n  fix: put images in there, or remove it" in _refused(images, tmp_path / "out")


def test_a_class_folder_without_images_is_named_in_an_archive(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "in"))
        archive.writestr("bird/", b"")
    assert "no images in bird/" in _refused(tmp_path / "a.zip", tmp_path / "out")


def test_litter_changes_no_image_and_is_counted(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "images")
    before = np.concatenate(list(_load(tmp_path / "images").chunks))
    for name in ("@eaDir/cat/0.png", "cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.png", "dog/Thumbs.db", "cat/1.png.part"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    data = _load(tmp_path / "images")
    assert (np.concatenate(list(data.chunks)) == before).all()
    assert any(line.startswith("left out: 4 file(s) of systems and programs: ") for line in data.reading)


def _files_that_are_no_images() -> Iterator[tuple[str, bytes]]:
    """Suffix and content by the words that tell the cause."""
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 90).save(buffer, "PNG")
    png = buffer.getvalue()
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 90).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    yield "empty: 0 bytes", b""
    yield "cut off: it ends early", png[:900]
    yield "cut off: it ends early", jpeg[:500]
    yield "broken", png[:60] + b"x" + png[61:]
    yield "cut off: it ends early", jpeg[:10]
    twelve_bits = jpeg.replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc0\x00\x0b\x0c")
    yield "broken, or of a kind that is not read", twelve_bits
    yield "not an image that Pillow reads", b"<!DOCTYPE html><html>"
    yield "HEIC, which is not read", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    yield "JPEG XL, which is not read", b"\xff\x0a1234"
    yield "a video", b"\0\0\0\x18ftypisom" + bytes(90)
    yield "a drawing", b"<?xml version='1.0'?><svg></svg>"
    yield "PDF", b"%PDF-1.4"
    yield "an archive inside of a class folder", b"PK\x03\x04"
    yield "a pointer of Git LFS", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"


NO_IMAGES = list(_files_that_are_no_images())


@pytest.mark.parametrize(("cause", "content"), NO_IMAGES)
def test_each_cause_has_its_own_words(tmp_path: Path, make_images: Make, cause: str, content: bytes) -> None:
    make_images(tmp_path / "images")
    (tmp_path / "images" / "cat" / "x.jpg").write_bytes(content)
    message = _refused(tmp_path / "images", tmp_path / "out")
    assert f"images: 1 of 13 images can't be read\n  1 {cause}" in message
    assert "\n    cat/x.jpg" in message
    assert message.count("\n  fix: ") == 1


def test_a_raw_file_a_closed_one_and_a_link_to_nothing_have_their_own_words(
    tmp_path: Path, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images")
    make_images(tmp_path / "raw", classes=("x",), n=1)
    (tmp_path / "raw" / "x" / "0.png").rename(tmp_path / "images" / "cat" / "small preview.NEF")
    (tmp_path / "images" / "dog" / "link.png").symlink_to("nowhere")
    read_bytes = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.name == "5.png":  # root may read everything, so that chmod would not do
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    message = _refused(tmp_path / "images", tmp_path / "out")
    assert "4 of 14 images can't be read" in message
    assert "2 not to be read without permission:\n    cat/5.png\n    dog/5.png\n  fix: `chmod u+r` it" in message
    assert "1 raw data of a camera:\n    cat/small preview.NEF\n  fix: convert it to JPEG" in message
    assert "1 a link to nothing:\n    dog/link.png\n  fix: put the file itself there" in message


def test_all_bad_files_are_told_at_once_the_first_by_name(
    tmp_path: Path, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images")
    for i in range(25):
        (tmp_path / "images" / "cat" / f"x{i:02}.jpg").write_bytes(b"")
    message = _refused(tmp_path / "images", tmp_path / "out")
    assert "25 of 37 images can't be read\n  25 empty: 0 bytes:\n    cat/x00.jpg\n" in message
    assert "    cat/x19.jpg\n    and 5 more\n  fix: " in message
    monkeypatch.setattr(source, "MOST_COLLECTED", 22)
    monkeypatch.setattr(unreadable, "MOST_COLLECTED", 22)
    assert "22 or more of 37 images can't be read" in _refused(tmp_path / "images", tmp_path / "out")


def test_the_members_of_a_zip_with_a_password_are_told_with_the_fix(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in", n=3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "in"))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    message = _refused(tmp_path / "a.zip", tmp_path / "out")
    assert "6 encrypted with a password:\n    cat/0.png" in message
    assert message.endswith("fix: unpack the archive with its password, and use the folder")


def test_the_counts_of_each_class_are_told_and_of_many_the_range(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "a" / "train", n=4)
    make_images(tmp_path / "a" / "test", n=1)
    assert _load(tmp_path / "a").reading == [
        f"{tmp_path / 'a'}:",
        "train images from the class folders in train/",
        "test images from the class folders in test/",
        "2 classes:",
        "   train    test  class",
        "       4       1  cat",
        "       4       1  dog",
    ]
    make_images(tmp_path / "b", classes=tuple(f"c{i:03}" for i in range(30)), n=3)
    lines = _load(tmp_path / "b").reading
    assert lines[-1].strip() == "and 20 more, each with 1 to 2 train, 1 to 2 test images"
    assert len(lines) == 3 + 2 + 10 + 1


def test_the_memory_of_what_is_read_does_not_grow_with_the_files(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "images", n=40)
    data = _load(tmp_path / "images", 1024)
    assert {len(chunk) for chunk in data.chunks} == {5}
