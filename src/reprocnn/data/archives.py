"""Read the files of a directory or an archive (zip, tar), one after the other.

Archives are read member by member; nothing is extracted to a path from an archive.
"""

import bz2
import gzip
import json
import lzma
import os
import shlex
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from reprocnn.data.litter import is_litter
from reprocnn.data.unreadable import Unreadable
from reprocnn.errors import UserError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")

_COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_BROKEN_ARCHIVE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
_ENCRYPTED, _UTF8 = 0x1, 0x800  # flag bits of a zip member
_UNICODE_PATH = 0x7075  # the extra field of a zip member in which some programs write the name in UTF-8
_UNIX = {3, 19}  # codes of Unix and macOS in a zip member
_ENCODINGS = ("utf-8", "gbk", "big5", "shift_jis", "euc_kr", "cp1251", "cp437", "cp1252")

Read = Callable[[], bytes]


@dataclass(frozen=True)
class Member:
    """A file or folder in a directory or archive.

    Args:
        name: path with slashes, relative to the directory or archive.
        read: returns the content; call it before the next member is read. None for a folder.
    """

    name: str
    read: Read | None


def members(path: Path) -> Iterator[Member]:
    """Yield every file and folder of a directory or archive, in the order of the source.

    Raises:
        UserError: the archive is broken, has links or names that point outside, or a name is not valid text.
    """
    with refuse_broken(path):
        if path.is_dir():
            found = _of_directory(path)
        elif zipfile.is_zipfile(path):
            found = _of_zip(path)
        elif tarfile.is_tarfile(path):
            found = _of_tar(path)
        else:
            raise UserError(
                f"{path} is neither a directory nor a zip or tar archive", "unpack it, or pack it as zip or tar"
            )
        for member in found:
            if not member.name.isprintable() and not is_litter(member.name):
                _refuse_unreadable_name(path, member.name)
            yield member


@contextmanager
def refuse_broken(path: Path) -> Iterator[None]:
    """Turn the exceptions of a broken archive into a UserError."""
    try:
        yield
    except _BROKEN_ARCHIVE as error:
        raise UserError(f"{path} is broken: {error}", "download or pack it again") from None


def _refuse_unreadable_name(path: Path, name: str) -> None:
    """Refuse control characters, line ends, and bytes that aren't UTF-8 (surrogates in Python)."""
    kinds = {unicodedata.category(character) for character in name}
    if "Cs" in kinds:
        raise UserError(
            f"{path}: the name {name!a} is not UTF-8",
            "rename it; `convmv -r -f gbk -t utf-8 --notest FOLDER` renames all in a folder, here from gbk",
        )
    if kinds & {"Cc", "Zl", "Zp"}:
        raise UserError(f"{path}: the name {name!a} has a control character in it", "rename it")


def _of_directory(path: Path) -> Iterator[Member]:
    start = len(str(path / "x")) - 1  # name of the member inside, from the name of the file

    def refuse(error: OSError) -> None:
        # The folder may have been removed in the meantime.
        if not isinstance(error, FileNotFoundError) and not is_litter(str(error.filename)[start:]):
            raise UserError(f"{error.filename} can't be read: {error.strerror}", "see to its permissions") from None

    for folder, folders, files in os.walk(path, onerror=refuse):
        folders.sort()
        for name in folders:
            # DVC does not follow them either, so it would not notice changed images.
            place = Path(folder, name)
            inside = str(place)[start:]
            if place.is_symlink() and not is_litter(inside):
                raise UserError(f"{place} is a symbolic link to a directory", "put the directory itself there")
            yield Member(inside, None)
        inside = f"{Path(folder)}/"[start:] if Path(folder) != path else ""
        for name in sorted(files):
            yield Member(inside + name, partial(_read_in_directory, path, inside + name))


def _read_in_directory(path: Path, name: str) -> bytes:
    return (path / name).read_bytes()


def _of_zip(path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except UnicodeDecodeError:
        raise UserError(f"{path}: a name is marked as UTF-8 and is not", "unpack it and pack it again") from None
    with archive:
        infos = sorted(archive.infolist(), key=lambda info: info.orig_filename)
        for info, name in zip(infos, _names_in_zip(path, infos), strict=True):
            _refuse_unsafe(path, name, link=stat.S_ISLNK(info.external_attr >> 16))
            read = None if name.endswith("/") else partial(_read_in_zip, archive, info)
            yield Member(_normal(name), read)


def _names_in_zip(path: Path, infos: list[zipfile.ZipInfo]) -> list[str]:
    """Return the names of members, including those that zipfile decodes as cp437: neither ASCII nor marked as UTF-8.

    Such a name has the encoding of the system that packed it, which the archive does not state. On Unix and macOS it is
    UTF-8. Elsewhere, bytes that are valid UTF-8 prove nothing: two Chinese characters in GBK often are, too.
    """
    names = []
    for info in infos:
        name: str | None = info.orig_filename
        if not (info.flag_bits & _UTF8 or info.orig_filename.isascii()):
            raw = info.orig_filename.encode("cp437")
            name = _name_in_extra_field(info.extra, raw)
            if name is None and info.create_system in _UNIX:
                name = _decoded(raw, "utf-8")
            if name is None:
                raise _unknown_encoding(path, raw)
        names.append(str(name).replace("\\", "/"))  # some Windows programs write it
    return names


def _name_in_extra_field(extra: bytes, raw: bytes) -> str | None:
    """Return the UTF-8 name that some programs add to a member; None if it is absent or belongs to another name."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field[:5] == b"\x01" + struct.pack("<L", zlib.crc32(raw)):
            return _decoded(field[5:], "utf-8")
    return None


def _unknown_encoding(path: Path, raw: bytes) -> UserError:
    readings: dict[str, str] = {}
    for encoding in _ENCODINGS:
        if name := _decoded(raw, encoding):
            readings.setdefault(name, encoding)
    seen = ", ".join(f"{name!r} ({encoding})" for name, encoding in readings.items())
    # Double quotes in Python leave single quotes to shlex.
    archive, target = (json.dumps(str(place), ensure_ascii=False) for place in (path, path.with_suffix("")))
    encoding = next(iter(readings.values()))
    code = f'import zipfile; zipfile.ZipFile({archive}, metadata_encoding="{encoding}").extractall({target})'
    return UserError(
        f"{path}: a name does not tell its encoding; it may be {seen}",
        f"unpack it with the right one, and use the folder: python -c {shlex.quote(code)}",
    )


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _read_in_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        raise Unreadable("encrypted with a password", "unpack the archive with its password, and use the folder")
    try:
        return archive.read(info)
    except NotImplementedError:
        method = zipfile.compressor_names.get(info.compress_type, f"method {info.compress_type}")  # type: ignore[attr-defined]
        raise Unreadable(
            f"compressed by {method}, which Python does not read",
            "unpack it and pack it again (Deflate), or use the folder",
        ) from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise Unreadable("broken in the archive", "download or pack it again", str(error)) from None


def _of_tar(path: Path) -> Iterator[Member]:
    with _decompressed(path) as file, tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as archive:
        for member in archive:
            _refuse_unsafe(path, member.name, link=not (member.isfile() or member.isdir()))
            read = (lambda m=member: archive.extractfile(m).read()) if member.isfile() else None  # type: ignore[misc,union-attr]
            yield Member(_normal(member.name), read)
        # tarfile treats a broken header as the end. The true end is two empty blocks, then the checksum of gzip.
        file.seek(archive.offset)
        if file.read(1024) != bytes(1024):
            raise tarfile.ReadError("it ends early, or a header is broken")
        while file.read(2**20):
            pass


def _decompressed(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        start = file.read(6)
    opener = next((o for magic, o in _COMPRESSIONS.items() if start.startswith(magic)), open)
    return opener(path, "rb")  # type: ignore[operator,no-any-return]


def _normal(name: str) -> str:
    """Remove `./`, `//` and a trailing slash from a name."""
    return str(PurePosixPath(name))


def _refuse_unsafe(path: Path, name: str, link: bool) -> None:
    posix = PurePosixPath(name)
    if posix.is_absolute() or ".." in posix.parts:
        raise UserError(f"{path}: member {name!r} points outside of the archive", "pack it again without it")
    if link:
        raise UserError(
            f"{path}: member {name!r} is a link or a device, expected files",
            "pack it again without it",
        )
