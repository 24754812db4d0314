"""Choose the fonts of the figures: matplotlib's DejaVu Sans, and Noto fonts for characters that it lacks.

The Noto fonts come from two packages, the extra `fonts`. Fonts of the machine are never used, so that the same names
and packages give the same bytes.
"""

import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.font_manager import FontEntry, fontManager
from matplotlib.ft2font import FT2Font

_DEJAVU = "DejaVu Sans"
_PACKAGES = ("manimgx_fonts", "noto_cjk_sans_jp_regular")
"""Scripts of Asia and Africa, and emoji; Chinese, Japanese and Korean."""


def families(texts: Iterable[str]) -> list[str]:
    """Choose the fonts that draw the texts: DejaVu Sans, then fonts that have the characters missing from it."""
    lacking = set("".join(texts)) - _dejavu()
    chosen = [_DEJAVU]
    for family, characters in (_noto() if lacking else {}).items():
        if lacking & characters:
            chosen.append(family)
            lacking -= characters
    return chosen


def without_glyph(text: str) -> set[str]:
    """Find the characters that no installed font has; a figure would show a box for each."""
    lacking = set(text) - _dejavu()
    return lacking.difference(*_noto().values()) if lacking else lacking


def note(class_names: Iterable[str]) -> str:
    """Explain why the figures show class numbers, if some class name has characters without a glyph; else empty."""
    no_glyph = without_glyph("".join(class_names))
    if not no_glyph:
        return ""
    # No font has control, private or unassigned characters.
    if len(_folders()) < len(_PACKAGES) and any(unicodedata.category(c)[0] != "C" for c in no_glyph):
        return (
            "some class names need fonts that are not installed, so the figures show class numbers; "
            "to draw most scripts: make setup EXTRA=--extra=fonts && dvc repro --force --single-item plot"
        )
    return "some class names have characters that no font has, so the figures show class numbers"


@cache
def _dejavu() -> frozenset[str]:
    return _characters(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@cache
def _noto() -> dict[str, frozenset[str]]:
    """Register the fonts of the installed packages with matplotlib; return font family -> its characters."""
    found = {}
    for path in _paths():
        # A name of our own: a font of the machine may have the same as the font in the package.
        family = f"reprocnn {path.name}"
        fontManager.ttflist.append(FontEntry(fname=str(path), name=family))
        found[family] = _characters(path)
    return found


def _paths() -> list[Path]:
    paths = [path for folder in _folders() for path in sorted(folder.iterdir()) if path.suffix in {".otf", ".ttf"}]
    return [path for path in paths if "Italic" not in path.name]


def _folders() -> list[Path]:
    """Find the folders of the installed font packages."""
    specs = [find_spec(package) for package in _PACKAGES]
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]


def _characters(path: Path) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(str(path)).get_charmap()))
