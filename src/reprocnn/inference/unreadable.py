"""Explain why a file can't be read as an image: the cause and the fix."""

from collections.abc import Callable

from PIL import UnidentifiedImageError


class UnreadableError(Exception):
    """A file that can't be read as an image.

    Args:
        cause: what is wrong; the same text for all files with the same problem, which are listed together.
        fix: what to do about it.
        detail: more about this file.
    """

    def __init__(self, cause: str, fix: str, detail: str = "") -> None:
        super().__init__(cause)
        self.cause, self.fix, self.detail = cause, fix, detail


class WhiteError(UnreadableError):
    """An image with more than 8 bits per channel whose value of white is unknown, or set to a wrong value."""


_COPY_AGAIN = "copy or download it again, or remove it"
_OTHER_FORMATS: tuple[tuple[str, str, Callable[[bytes], bool]], ...] = (
    (
        "Git LFS pointer instead of the file",
        "download the files with `git lfs pull`",
        lambda start: start.startswith(b"version https://git-lfs"),
    ),
    (
        "HEIC, which is not supported",
        "convert it to JPEG, for example `heif-convert a.heic a.jpg`; on a Mac, `sips -s format jpeg`",
        lambda start: start[4:8] == b"ftyp" and start[8:12] in {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1"},
    ),
    (
        "JPEG XL, which is not supported",
        "convert it to PNG, for example `djxl a.jxl a.png`",
        lambda start: start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    ),
    (
        "video",
        "extract images from it, for example `ffmpeg -i a.mp4 -r 1 a-%04d.png`, or remove it",
        lambda start: start[4:8] == b"ftyp" or start.startswith(b"\x1aE\xdf\xa3") or start[8:12] == b"AVI ",
    ),
    (
        "PDF",
        "convert it to images, for example `pdftoppm -png a.pdf a`, or remove it",
        lambda start: start.startswith(b"%PDF"),
    ),
    (
        "vector graphic (SVG, EPS), which has no pixels",
        "convert it to PNG, for example `rsvg-convert a.svg -o a.png` or `magick a.eps a.png`",
        lambda start: b"<svg" in start or start.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")),
    ),
    (
        "archive instead of an image",
        "unpack it, or remove it",
        lambda start: start.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")),
    ),
)
_IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"BM", b"RIFF")
_RAW = (".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".srw")


def refuse_by_name(name: str) -> None:
    """Refuse a camera's raw file, of which Pillow would read only the small preview image.

    Raises:
        UnreadableError: the suffix of the name is that of a raw file.
    """
    if name.lower().endswith(_RAW):
        raise UnreadableError(
            "camera raw file", "convert it to JPEG, for example `darktable-cli a.nef a.jpg`, or remove it"
        )


def read_failure(error: OSError) -> UnreadableError:
    """Return the cause and fix for a file that the operating system can't read."""
    if isinstance(error, FileNotFoundError):
        return UnreadableError("broken symbolic link", "replace it with the file itself, or remove it")
    if isinstance(error, PermissionError):
        return UnreadableError("no permission to read it", "run `chmod u+r` on it, or run the pipeline as its owner")
    return UnreadableError("disk error", "check the disk, or remove the file", str(error.strerror or error))


def memory_failure() -> UnreadableError:
    """Return the cause and fix for a file that does not fit into the memory, or whose pixels don't."""
    return UnreadableError("not enough memory to read it", "reduce its size, or close other programs")


def decode_failure(error: Exception, content: bytes) -> UnreadableError:
    """Return the cause and fix for a file that Pillow can't decode.

    Args:
        error: the exception that Pillow raised.
        content: the bytes of the file.
    """
    if isinstance(error, UnreadableError):
        return error
    if not content:
        return UnreadableError("empty file", _COPY_AGAIN)
    if "MAX_TEXT" in str(error):
        return UnreadableError(
            "PNG with too much text metadata",
            "remove the text, for example with `magick a.png -strip b.png`, or remove the file",
        )
    if "truncated" in str(error).lower():
        return UnreadableError("truncated: the file ends early", _COPY_AGAIN)
    for cause, fix, matches in _OTHER_FORMATS:
        if matches(content[:1024]):
            return UnreadableError(cause, fix)
    if not isinstance(error, UnidentifiedImageError):
        return UnreadableError("corrupt", _COPY_AGAIN, str(error))
    if content.startswith(_IMAGE_STARTS):
        return UnreadableError("corrupt, or of an unsupported kind", "save it as an 8-bit PNG or JPEG, or remove it")
    return UnreadableError("not an image that Pillow can read", "convert it to PNG or JPEG, or remove it")
