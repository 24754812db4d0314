"""Iterate over the files in a directory or archive (zip, tar).

Archives are read into memory member by member. Nothing is extracted, so an archive can't write to the disk.
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

from reprocnn.data.junk import is_junk
from reprocnn.errors import UserError
from reprocnn.inference.unreadable import UnreadableError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")

_COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_ARCHIVE_ERRORS = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
_ENCRYPTED, _UTF8 = 0x1, 0x800  # bits in the flags of a zip member
_UNICODE_PATH = 0x7075  # extra field of a zip member: the name in UTF-8, written by some programs
_UNIX = {3, 19}  # codes in a zip member for an archive made on Unix or macOS
_ENCODINGS = ("utf-8", "gbk", "big5", "shift_jis", "euc_kr", "cp1251", "cp437", "cp1252")

Read = Callable[[], bytes]


@dataclass(frozen=True)
class Member:
    """A file or folder in a directory or archive.

    Args:
        name: the path relative to the directory or archive, with `/` as separator.
        read: function that returns the content; None for a folder. Call it before the next member is requested.
    """

    name: str
    read: Read | None


def members(path: Path) -> Iterator[Member]:
    """Yield every file and folder in a directory or archive: sorted by name, but for tar in the order of the archive.

    Raises:
        UserError: the archive is corrupt, contains links or paths outside the archive, or a name is not readable text.
    """
    with report_corrupt(path):
        if path.is_dir():
            found = _directory_members(path)
        elif zipfile.is_zipfile(path):
            found = _zip_members(path)
        elif tarfile.is_tarfile(path):
            found = _tar_members(path)
        else:
            raise UserError(
                f"{path} is neither a directory nor a zip or tar archive", "unpack it, or convert it to zip or tar"
            )
        for member in found:
            if not member.name.isprintable() and not is_junk(member.name):
                _refuse_unreadable_name(path, member.name)
            yield member


@contextmanager
def report_corrupt(path: Path) -> Iterator[None]:
    """Turn the exceptions that reading a corrupt archive raises into a UserError."""
    try:
        yield
    except _ARCHIVE_ERRORS as error:
        raise UserError(f"the archive {path} is corrupt: {error}", "download or create it again") from None


def _refuse_unreadable_name(path: Path, name: str) -> None:
    """Raise UserError for control characters, line breaks, or bytes that aren't UTF-8 (surrogates in Python)."""
    kinds = {unicodedata.category(character) for character in name}
    if "Cs" in kinds:
        raise UserError(
            f"{path}: the name {name!a} is not UTF-8",
            "rename it; `convmv -r -f gbk -t utf-8 --notest FOLDER` renames everything in a folder, here from GBK",
        )
    if kinds & {"Cc", "Zl", "Zp"}:
        raise UserError(f"{path}: the name {name!a} contains a control character", "rename it")


def _directory_members(path: Path) -> Iterator[Member]:
    start = len(str(path / "x")) - 1  # where the relative name begins in a full path

    def refuse(error: OSError) -> None:
        # Ignore a folder that was deleted meanwhile: read_images notices when listed files are missing.
        if not isinstance(error, FileNotFoundError) and not is_junk(str(error.filename)[start:]):
            raise UserError(f"{error.filename} can't be read: {error.strerror}", "check its permissions") from None

    for folder, folders, files in os.walk(path, onerror=refuse):
        folders.sort()
        for name in folders:
            # DVC doesn't follow symbolic links to directories, so it would miss changes of the images in them.
            full = Path(folder, name)
            relative = str(full)[start:]
            if full.is_symlink() and not is_junk(relative):
                raise UserError(f"{full} is a symbolic link to a directory", "replace it with the directory itself")
            yield Member(relative, None)
        prefix = f"{Path(folder)}/"[start:] if Path(folder) != path else ""
        for name in sorted(files):
            yield Member(prefix + name, partial(_read_in_directory, path, prefix + name))


def _read_in_directory(path: Path, name: str) -> bytes:
    return (path / name).read_bytes()


def _zip_members(path: Path) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except UnicodeDecodeError:
        raise UserError(
            f"{path}: a file name is marked as UTF-8 but isn't valid UTF-8", "unpack the archive and create it again"
        ) from None
    with archive:
        infos = sorted(archive.infolist(), key=lambda info: info.orig_filename)
        for info, name in zip(infos, _zip_names(path, infos), strict=True):
            _refuse_unsafe(path, name, link=stat.S_ISLNK(info.external_attr >> 16))
            read = None if name.endswith("/") else partial(_read_in_zip, archive, info)
            yield Member(_normalize_name(name), read)


def _zip_names(path: Path, infos: list[zipfile.ZipInfo]) -> list[str]:
    """Return the names of the members of a zip archive.

    zipfile decodes a name that is neither ASCII nor marked as UTF-8 as cp437. In fact it has the encoding of the system
    that made the archive, which the archive doesn't record; on Unix and macOS it is UTF-8. Trying UTF-8 everywhere
    would be wrong: two Chinese characters in GBK are often valid UTF-8 too.
    """
    names = []
    for info in infos:
        name: str | None = info.orig_filename
        if not (info.flag_bits & _UTF8 or info.orig_filename.isascii()):
            raw = info.orig_filename.encode("cp437")
            name = _name_in_extra_field(info.extra, raw)
            if name is None and info.create_system in _UNIX:
                name = _decode(raw, "utf-8")
            if name is None:
                raise _unknown_encoding(path, raw)
        names.append(str(name).replace("\\", "/"))  # some Windows programs write backslashes
    return names


def _name_in_extra_field(extra: bytes, raw: bytes) -> str | None:
    """Return the UTF-8 name in the extra field, or None if there is none or its checksum belongs to another name."""
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field[:5] == b"\x01" + struct.pack("<L", zlib.crc32(raw)):
            return _decode(field[5:], "utf-8")
    return None


def _unknown_encoding(path: Path, raw: bytes) -> UserError:
    candidates: dict[str, str] = {}
    for encoding in _ENCODINGS:
        if name := _decode(raw, encoding):
            candidates.setdefault(name, encoding)
    listed = ", ".join(f"{name!r} ({encoding})" for name, encoding in candidates.items())
    # Double quotes in the Python code, so that shlex.quote can put it in single quotes
    archive, target = (json.dumps(str(place), ensure_ascii=False) for place in (path, path.with_suffix("")))
    encoding = next(iter(candidates.values()))
    code = f'import zipfile; zipfile.ZipFile({archive}, metadata_encoding="{encoding}").extractall({target})'
    return UserError(
        f"{path}: the encoding of a file name is unknown; it may be {listed}",
        f"unpack the archive with the right encoding, and use the folder: python -c {shlex.quote(code)}",
    )


def _decode(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _read_in_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        raise UnreadableError("encrypted with a password", "unpack the archive with its password, and use the folder")
    try:
        return archive.read(info)
    except NotImplementedError:
        method = zipfile.compressor_names.get(info.compress_type, f"method {info.compress_type}")  # type: ignore[attr-defined]
        raise UnreadableError(
            f"compressed with {method}, which Python can't read",
            "unpack the archive and create it again with Deflate, or use the folder",
        ) from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise UnreadableError("corrupt in the archive", "download or create the archive again", str(error)) from None


def _tar_members(path: Path) -> Iterator[Member]:
    with _open_decompressed(path) as file, tarfile.open(fileobj=file, mode="r:", encoding="utf-8") as archive:
        for member in archive:
            _refuse_unsafe(path, member.name, link=not (member.isfile() or member.isdir()))
            read = (lambda m=member: archive.extractfile(m).read()) if member.isfile() else None  # type: ignore[misc,union-attr]
            yield Member(_normalize_name(member.name), read)
        # tarfile stops without an error at a corrupt header. A complete archive ends with two empty blocks.
        file.seek(archive.offset)
        if file.read(1024) != bytes(1024):
            raise tarfile.ReadError("it is truncated, or a header is corrupt")
        while file.read(2**20):  # gzip and xz compare their checksum when the end of the file is read
            pass


def _open_decompressed(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        start = file.read(6)
    opener = next((o for magic, o in _COMPRESSIONS.items() if start.startswith(magic)), open)
    return opener(path, "rb")  # type: ignore[operator,no-any-return]


def _normalize_name(name: str) -> str:
    """Remove `./`, repeated slashes and a trailing slash."""
    return str(PurePosixPath(name))


def _refuse_unsafe(path: Path, name: str, link: bool) -> None:
    posix = PurePosixPath(name)
    if posix.is_absolute() or ".." in posix.parts:
        raise UserError(f"{path}: member {name!r} points outside the archive", "create the archive again without it")
    if link:
        raise UserError(
            f"{path}: expected only files and folders, found {name!r}, which is a link or a device",
            "create the archive again without it",
        )
