"""Explain why files can't be read as images: one cause and one fix for all files that share it."""

from collections.abc import Callable
from pathlib import Path

from PIL import UnidentifiedImageError

from reprocnn.errors import UserError

MOST_COLLECTED = 1000
"""After this many unreadable files, stop reading."""
_MOST_NAMED = 20


class Unreadable(Exception):  # noqa: N818 -- it says what the file is
    """A file that can't be read as an image.

    Args:
        cause: what is wrong, the same text for every file with this cause.
        fix: how to fix it.
        detail: what is wrong with this file.
    """

    def __init__(self, cause: str, fix: str, detail: str = "") -> None:
        super().__init__(cause)
        self.cause, self.fix, self.detail = cause, fix, detail


_COPY_AGAIN = "copy or download it again, or remove it"
_OTHER_FORMATS: tuple[tuple[str, str, Callable[[bytes], bool]], ...] = (
    (
        "a pointer of Git LFS in place of the file",
        "get the files: `git lfs pull`",
        lambda start: start.startswith(b"version https://git-lfs"),
    ),
    (
        "HEIC, which is not read",
        "convert it to JPEG, for example `heif-convert a.heic a.jpg`; on a Mac, `sips -s format jpeg`",
        lambda start: start[4:8] == b"ftyp" and start[8:12] in {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1"},
    ),
    (
        "JPEG XL, which is not read",
        "convert it to PNG, for example `djxl a.jxl a.png`",
        lambda start: start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    ),
    (
        "a video",
        "take images from it, for example `ffmpeg -i a.mp4 -r 1 a-%04d.png`, or remove it",
        lambda start: start[4:8] == b"ftyp" or start.startswith(b"\x1aE\xdf\xa3") or start[8:12] == b"AVI ",
    ),
    (
        "PDF",
        "convert it to images, for example `pdftoppm -png a.pdf a`, or remove it",
        lambda start: start.startswith(b"%PDF"),
    ),
    (
        "a drawing (SVG, EPS), which has no pixels",
        "convert it to PNG, for example `rsvg-convert a.svg -o a.png` or `magick a.eps a.png`",
        lambda start: b"<svg" in start or start.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")),
    ),
    (
        "an archive inside of a class folder",
        "unpack it there, or remove it",
        lambda start: start.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")),
    ),
)
_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"BM", b"RIFF")
_RAW = (".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw")


def refuse_by_name(name: str) -> None:
    """Refuse the raw file of a camera: Pillow would read the small preview in it.

    Raises:
        Unreadable: the suffix is that of a raw file.
    """
    if name.lower().endswith(_RAW):
        raise Unreadable(
            "raw data of a camera", "convert it to JPEG, for example `darktable-cli a.nef a.jpg`, or remove it"
        )


def not_readable(error: OSError) -> Unreadable:
    """Return the cause for a file that the operating system can't read."""
    if isinstance(error, FileNotFoundError):
        return Unreadable("a link to nothing", "put the file itself there, or remove the link")
    if isinstance(error, PermissionError):
        return Unreadable("not to be read without permission", "`chmod u+r` it, or run as its owner")
    return Unreadable("not given by the disk", "see to the disk, or remove it", str(error.strerror or error))


def not_decoded(error: Exception, content: bytes) -> Unreadable:
    """Return the cause for an exception of Pillow."""
    if isinstance(error, Unreadable):
        return error
    if not content:
        return Unreadable("empty: 0 bytes", _COPY_AGAIN)
    if "MAX_TEXT" in str(error):
        return Unreadable(
            "a PNG with much text in it", "take the text out, for example `magick a.png -strip b.png`, or remove it"
        )
    if "truncated" in str(error).lower():
        return Unreadable("cut off: it ends early", _COPY_AGAIN)
    for cause, fix, matches in _OTHER_FORMATS:
        if matches(content[:1024]):
            return Unreadable(cause, fix)
    if not isinstance(error, UnidentifiedImageError):
        return Unreadable("broken", _COPY_AGAIN, str(error))
    if content.startswith(_IMAGE_STARTS):
        return Unreadable("broken, or of a kind that is not read", "save it as PNG or JPEG of 8 bits, or remove it")
    return Unreadable("not an image that Pillow reads", "move it out of the class folders, or remove it")


class Unreadables:
    """The files of a source that can't be read as images, by cause.

    Args:
        source: the name of the directory or archive in messages.
        total: its number of images.
    """

    def __init__(self, source: Path, total: int) -> None:
        self._source, self._total, self._count = source, total, 0
        self._by_cause: dict[tuple[str, str], list[str]] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, why: Unreadable) -> None:
        """Add a file."""
        detail = f": {why.detail}" if why.detail else ""
        self._by_cause.setdefault((why.cause, why.fix), []).append(name + detail)
        self._count += 1

    def error(self) -> UserError:
        """Return one error for all files: for each cause the first names, and the fix."""
        most = max(3, _MOST_NAMED // len(self._by_cause))
        cut = " or more" if self._count >= MOST_COLLECTED else ""
        lines, fix = [f"{self._source}: {self._count}{cut} of {self._total} images can't be read"], ""
        for (cause, next_fix), names in self._by_cause.items():
            lines += [f"  fix: {fix}"] * bool(fix) + [f"  {len(names)} {cause}:"]
            lines += [f"    {name}" for name in names[:most]]
            lines += [f"    and {len(names) - most} more"] * (len(names) > most)
            fix = next_fix
        return UserError("\n".join(lines), fix)
