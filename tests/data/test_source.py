"""Sources that change between listing and reading, and files that are not images."""

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from made_files import NO_COPIES
from reprocnn.data import decoding, folder, raw, reading, source, unreadable_files
from reprocnn.data.division import divide
from reprocnn.errors import UserError
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places

Make = Callable[..., None]


def _load(path: Path, size: int = 8) -> raw.RawData:
    params = DownloadParams(dataset="folder", folder=str(path), image_size=size)
    return folder.load(params, places())


def _write(path: Path, into: Path) -> None:
    """Load and write the data as the download stage does."""
    division = divide(_load(path), NO_COPIES, DownloadParams(test_fraction=0.34), {})
    raw.write_split(division.data, division.train, into / "train")
    raw.write_split(division.data, division.test, into / "test")


def _error(path: Path, into: Path) -> str:
    """Return the error message that the source causes; check that nothing was written."""
    with pytest.raises(UserError) as caught:
        _write(path, into)
    assert not list(into.rglob("*.npy"))
    return str(caught.value)


@pytest.fixture
def after_listing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Calls a function after the files were listed and before they are read."""

    def call(change: Callable[[], object]) -> None:
        def list_then_change(path: Path, manifest: None) -> source.Source:
            listed = source.list_source(path, manifest)
            change()
            return listed

        monkeypatch.setattr(folder, "list_source", list_then_change)

    return call


AfterListing = Callable[[Callable[[], object]], None]


def test_the_error_names_a_deleted_image(tmp_path: Path, make_images: Make, after_listing: AfterListing) -> None:
    for number, name in enumerate(("cat/0.png", "cat/3.png", "dog/5.png")):
        path = tmp_path / f"images{number}"
        make_images(path)
        after_listing((path / name).unlink)
        assert f"changed while it was read: {name} was deleted\n  fix: run again" in _error(path, tmp_path / "out")


def test_the_error_names_an_image_that_is_deleted_just_before_it_is_read(
    tmp_path: Path, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images")
    gone, read_file = tmp_path / "images" / "cat" / "3.png", decoding._read_file

    def read(path: str) -> bytes:
        if path == str(gone):
            gone.unlink()
        return read_file(path)

    monkeypatch.setattr(decoding, "_read_file", read)
    assert "changed while it was read: cat/3.png was deleted" in _error(tmp_path / "images", tmp_path / "out")


def test_the_error_names_an_image_of_a_deleted_class(
    tmp_path: Path, make_images: Make, after_listing: AfterListing
) -> None:
    make_images(tmp_path / "images", classes=("cat", "cow", "dog"))
    after_listing(lambda: (tmp_path / "images" / "cow").rename(tmp_path / "cow"))
    assert "changed while it was read: cow/0.png was deleted" in _error(tmp_path / "images", tmp_path / "out")


def test_an_added_image_is_an_error_and_an_added_junk_file_is_not(
    tmp_path: Path, make_images: Make, after_listing: AfterListing
) -> None:
    make_images(tmp_path / "images")
    after_listing(lambda: (tmp_path / "images" / "cat" / ".DS_Store").write_bytes(b""))
    _write(tmp_path / "images", tmp_path / "out")
    after_listing(lambda: (tmp_path / "images" / "dog" / "new.png").write_bytes(b""))
    assert "changed while it was read: dog/new.png was added" in _error(tmp_path / "images", tmp_path / "other")


def test_a_replaced_archive_is_an_error_whatever_the_new_content(
    tmp_path: Path, make_images: Make, after_listing: AfterListing
) -> None:
    make_images(tmp_path / "in")
    for content in ("the same names", "broken"):
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((tmp_path / "in").rglob("*.png")):
                archive.write(file, file.relative_to(tmp_path / "in"))
        (tmp_path / "b.zip").write_bytes(path.read_bytes() if content != "broken" else path.read_bytes()[:900])
        after_listing(lambda: (tmp_path / "b.zip").replace(tmp_path / "a.zip"))
        assert "a.zip changed while it was read: it was replaced" in _error(path, tmp_path / "out")


def test_an_archive_with_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("cat/1.png", b"")
        archive.writestr("cat/1.png", b"")
    assert "the archive has cat/1.png twice" in _error(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("parent", [".hidden", "x.tmp", "@eaDir"])
@pytest.mark.parametrize("junk", [(), ("Thumbs.db",), ("@eaDir/1.jpg",)])
def test_the_error_names_a_class_folder_without_images_wherever_the_source_is(
    tmp_path: Path, make_images: Make, parent: str, junk: tuple[str, ...]
) -> None:
    images = tmp_path / parent / "pets"
    make_images(images)
    for name in ("", *junk):
        path = images / "bird" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"") if name else path.mkdir()
    assert "no images in bird/\n  fix: put images in there, or remove it" in _error(images, tmp_path / "out")


def test_the_error_names_a_class_folder_without_images_in_an_archive(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "in"))
        archive.writestr("bird/", b"")
    assert "no images in bird/" in _error(tmp_path / "a.zip", tmp_path / "out")


def test_junk_files_are_ignored_and_counted(
    tmp_path: Path, make_images: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path / "images")
    before = _load(tmp_path / "images").images
    for name in ("@eaDir/cat/0.png", "cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.png", "dog/Thumbs.db", "cat/1.png.part"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    data = _load(tmp_path / "images")
    assert (data.images == before).all()
    assert "ignored 4 hidden, system or temporary file(s): " in capsys.readouterr().out


def _unreadable_files() -> Iterator[tuple[str, bytes]]:
    """Yield the start of the message about the cause, and the content of a file with that cause."""
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 90).save(buffer, "PNG")
    png = buffer.getvalue()
    buffer = io.BytesIO()
    Image.effect_noise((40, 40), 90).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    yield "empty file (1):", b""
    yield "truncated: the file ends early (1):", png[:900]
    yield "truncated: the file ends early (1):", jpeg[:500]
    yield "corrupt (1):", png[:60] + b"x" + png[61:]
    yield "truncated: the file ends early (1):", jpeg[:10]
    twelve_bits = jpeg.replace(b"\xff\xc0\x00\x0b\x08", b"\xff\xc0\x00\x0b\x0c")
    yield "corrupt, or of an unsupported kind (1):", twelve_bits
    yield "not an image that Pillow can read (1):", b"<!DOCTYPE html><html>"
    yield "HEIC, which is not supported (1):", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    yield "JPEG XL, which is not supported (1):", b"\xff\x0a1234"
    yield "video (1):", b"\0\0\0\x18ftypisom" + bytes(90)
    yield "vector graphic (SVG, EPS)", b"<?xml version='1.0'?><svg></svg>"
    yield "PDF (1):", b"%PDF-1.4"
    yield "archive instead of an image (1):", b"PK\x03\x04"
    yield "Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"


@pytest.mark.parametrize(("cause", "content"), list(_unreadable_files()))
def test_the_error_tells_the_cause_for_each_kind_of_unreadable_file(
    tmp_path: Path, make_images: Make, cause: str, content: bytes
) -> None:
    make_images(tmp_path / "images")
    (tmp_path / "images" / "cat" / "x.jpg").write_bytes(content)
    message = _error(tmp_path / "images", tmp_path / "out")
    assert f"images: 1 of 13 images can't be read\n  {cause}" in message
    assert "\n    cat/x.jpg" in message
    assert message.count("\n  fix: ") == 1


def test_the_error_tells_camera_raw_files_missing_permission_and_broken_links_apart(
    tmp_path: Path, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images")
    make_images(tmp_path / "raw", classes=("x",), n=1)
    (tmp_path / "raw" / "x" / "0.png").rename(tmp_path / "images" / "cat" / "small preview.NEF")
    (tmp_path / "images" / "dog" / "link.png").symlink_to("nowhere")
    read_file = decoding._read_file

    def read(path: str) -> bytes:
        if path.endswith("/5.png"):  # chmod has no effect if the tests run as root
            raise PermissionError(13, "Permission denied", path)
        return read_file(path)

    monkeypatch.setattr(decoding, "_read_file", read)
    message = _error(tmp_path / "images", tmp_path / "out")
    assert "4 of 14 images can't be read" in message
    assert "no permission to read it (2):\n    cat/5.png\n    dog/5.png\n  fix: run `chmod u+r` on it" in message
    assert "camera raw file (1):\n    cat/small preview.NEF\n  fix: convert it to JPEG" in message
    assert "broken symbolic link (1):\n    dog/link.png\n  fix: replace it with the file itself" in message


def test_one_error_counts_all_unreadable_files_and_names_the_first(
    tmp_path: Path, make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_images(tmp_path / "images")
    for i in range(25):
        (tmp_path / "images" / "cat" / f"x{i:02}.jpg").write_bytes(b"")
    message = _error(tmp_path / "images", tmp_path / "out")
    assert "25 of 37 images can't be read\n  empty file (25):\n    cat/x00.jpg\n" in message
    assert "    cat/x19.jpg\n    and 5 more\n  fix: " in message
    monkeypatch.setattr(reading, "MAX_COLLECTED", 22)
    monkeypatch.setattr(unreadable_files, "MAX_COLLECTED", 22)
    assert "22 or more of 37 images can't be read" in _error(tmp_path / "images", tmp_path / "out")


def test_the_error_tells_how_to_unpack_a_zip_with_a_password(tmp_path: Path, make_images: Make) -> None:
    make_images(tmp_path / "in", n=3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted((tmp_path / "in").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "in"))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    start = -1
    while (start := content.find(b"PK\x01\x02", start + 1)) >= 0:
        content[start + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    message = _error(tmp_path / "a.zip", tmp_path / "out")
    assert "encrypted with a password (6):\n    cat/0.png" in message
    assert message.endswith("fix: unpack the archive with its password, and use the folder")
