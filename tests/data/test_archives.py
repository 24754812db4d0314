"""File names in directories and archives, and members that can't be read."""

import io
import os
import shlex
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from reprocnn.data.archives import members
from reprocnn.errors import UserError
from reprocnn.inference.unreadable import UnreadableError

NAMES = ["猫/1.png", "猫/2.png", "dog/1.png"]


class _Info(zipfile.ZipInfo):
    """A zip member whose name is given as bytes and not marked as UTF-8, as programs on other systems write it."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.raw, 0


def _zip(path: Path, names: list[bytes], system: int = 0, extra: Callable[[bytes], bytes] = lambda _: b"") -> Path:
    """Make a zip archive as on Windows (system 0) or Unix (system 3)."""
    with zipfile.ZipFile(path, "w") as archive:
        for raw in names:
            info = _Info("x")
            info.raw, info.filename, info.extra, info.create_system = raw, raw.decode("cp437"), extra(raw), system
            archive.writestr(info, b"content")
    return path


def _names(path: Path) -> list[str]:
    return [member.name for member in members(path) if member.read]


def test_utf8_names_in_a_zip_are_read_with_and_without_the_utf8_mark(tmp_path: Path) -> None:
    assert _names(_zip(tmp_path / "a.zip", [name.encode() for name in NAMES], system=3)) == sorted(NAMES)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name in NAMES:
            archive.writestr(name, b"content")
    assert _names(tmp_path / "b.zip") == sorted(NAMES)
    assert {member.read() for member in members(tmp_path / "a.zip") if member.read} == {b"content"}


def test_a_utf8_name_in_the_extra_field_is_used_if_its_checksum_matches(tmp_path: Path) -> None:
    def utf8_field(raw: bytes, checksum_of: bytes | None = None) -> bytes:
        field = b"\x01" + struct.pack("<L", zlib.crc32(checksum_of or raw)) + raw.decode("gbk").encode()
        return struct.pack("<HH", 0x7075, len(field)) + field

    raw = [name.encode("gbk") for name in NAMES]
    assert set(_names(_zip(tmp_path / "a.zip", raw, extra=utf8_field))) == set(NAMES)
    with pytest.raises(UserError, match="the encoding of a file name is unknown"):
        _names(_zip(tmp_path / "b.zip", raw, extra=lambda raw: utf8_field(raw, b"another name")))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("gbk", "小猫"),
        ("utf-8", "猫"),
        ("shift_jis", "ねこ"),
        ("cp1251", "кот"),
        ("cp437", "été"),
        ("euc_kr", "고양이"),
    ],
)
def test_a_name_of_unknown_encoding_is_refused_with_candidates_and_a_command(
    tmp_path: Path, encoding: str, name: str
) -> None:
    """The bytes of the first name are valid UTF-8, too, but stand for other characters."""
    (tmp_path / "it's $1").mkdir()
    path = _zip(tmp_path / "it's $1" / "a.zip", [f"{name}/1.png".encode(encoding), b"dog/1.png"])
    with pytest.raises(UserError, match="the encoding of a file name is unknown") as caught:
        _names(path)
    assert f"'{name}/1.png' ({encoding})" in caught.value.problem
    _, _, code = shlex.split(caught.value.fix.partition("the folder: ")[2])
    proposed = code.partition('metadata_encoding="')[2].partition('"')[0]
    subprocess.run([sys.executable, "-c", code.replace(f'"{proposed}"', f'"{encoding}"')], check=True)
    assert name in {found.name for found in path.with_suffix("").iterdir()}


def test_names_that_are_not_utf8_are_refused_in_tar_archives_and_directories(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", encoding="gbk", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("狗/1.png"), io.BytesIO())
    Path(os.fsdecode(os.fsencode(tmp_path / "images") + b"/" + "狗".encode("gbk"))).mkdir(parents=True)
    for path in (tmp_path / "a.tar", tmp_path / "images"):
        with pytest.raises(UserError, match=r"the name '\\udcb9\\udcb7.*' is not UTF-8\n  fix: rename it; `convmv"):
            _names(path)


SCRIPTS = [
    "می\u200cخواهم",
    "क्\u200dष",
    "犬\u3000猫",
    "at 3.04\u202fPM",
    "👨\u200d👩\u200d👧",
    "\u200eWhatsApp",
    "a\xa0b",
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_names_in_any_script_are_accepted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "1.png").write_bytes(b"")
    assert _names(tmp_path) == [f"{name}/1.png"]


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\x1b[31mb", "a\u2028b", "a\x85b"])
def test_control_characters_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="contains a control character") as caught:
        _names(tmp_path)
    assert caught.value.problem.isprintable()


def test_an_unreadable_zip_member_has_its_own_cause(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", b"content")
    plain = (tmp_path / "a.zip").read_bytes()

    def failure(flags: int, method: int) -> UnreadableError:
        altered = bytearray(plain)
        for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            start = plain.index(magic) + offset
            altered[start : start + 4] = struct.pack("<HH", flags, method)
        (tmp_path / "b.zip").write_bytes(altered)
        with pytest.raises(UnreadableError) as caught:
            for member in members(tmp_path / "b.zip"):
                assert member.read
                member.read()
        return caught.value

    assert failure(1, 0).cause == failure(1, 99).cause == "encrypted with a password"
    assert failure(0, 9).cause == "compressed with deflate64, which Python can't read"
    assert failure(0, 98).cause == "compressed with ppmd, which Python can't read"
    assert failure(0, 8).cause == "corrupt in the archive"


def test_a_folder_without_read_permission_is_an_error_unless_it_is_junk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "lost+found").mkdir()
    scandir, forbidden = os.scandir, {str(tmp_path / "lost+found")}

    def refuse(path: object) -> object:
        if str(path) in forbidden:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    assert _names(tmp_path) == []
    forbidden.add(str(tmp_path / "cat"))
    with pytest.raises(UserError, match="cat can't be read: Permission denied\n  fix: check its permissions"):
        _names(tmp_path)
