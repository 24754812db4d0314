"""The fonts of the figures: matplotlib's own DejaVu Sans; for characters that it lacks, Noto fonts out of two packages.

No font of the machine is used, so that the same names give the same bytes wherever the packages of uv.lock are.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font

from reprocnn.errors import UserError

_DEJAVU = "DejaVu Sans"
_PACKAGES = ("manimgx_fonts", "noto_cjk_sans_jp_regular")
"""Scripts of Asia and Africa, and emoji; Chinese, Japanese and Korean."""


def families(texts: Iterable[str]) -> list[str]:
    """Choose the fonts that draw the texts: DejaVu Sans, then those that have characters which it lacks."""
    lacking = set("".join(texts)) - _dejavu()
    chosen = [_DEJAVU]
    for family, characters in (_noto() if lacking else {}).items():
        if lacking & characters:
            chosen.append(family)
            lacking -= characters
    return chosen


def without_glyph(text: str) -> set[str]:
    """Find the characters that none of the fonts has; a figure would show a box for each."""
    lacking = set(text) - _dejavu()
    return lacking.difference(*_noto().values()) if lacking else lacking


@cache
def _dejavu() -> frozenset[str]:
    return _characters(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@cache
def _noto() -> dict[str, frozenset[str]]:
    """Register the fonts of the packages with matplotlib; return the characters of each by its family."""
    found = {}
    for path in _paths():
        # A name of our own: a font of the machine may have the same as the font in the package.
        family = f"reprocnn {path.name}"
        fontManager.ttflist.append(FontEntry(fname=str(path), name=family))
        found[family] = _characters(path)
    return found


def _paths() -> list[Path]:
    try:
        folders = [Path(str(files(package))) for package in _PACKAGES]
    except ModuleNotFoundError as error:
        raise UserError(
            f"class names need fonts, and the package {error.name} is not installed",
            "rm -f .venv/ready* && make setup",
        ) from None
    paths = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in {".otf", ".ttf"}]
    return [path for path in paths if "Italic" not in path.name]


def _characters(path: Path) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(str(path)).get_charmap()))
