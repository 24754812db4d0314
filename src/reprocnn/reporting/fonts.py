"""Choose the fonts of the figures: matplotlib's DejaVu Sans, and Noto fonts for characters that it lacks.

The Noto fonts come from two Python packages (`make setup EXTRA=--extra=fonts`). System fonts are never used, so that
the same class names and packages give the same bytes on every machine.
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
"""The first has emoji and scripts of Asia and Africa; the second has Chinese, Japanese and Korean."""


def families(texts: Iterable[str]) -> list[str]:
    """Return the font families that the texts need: DejaVu Sans, then those with characters that it lacks."""
    missing = set("".join(texts)) - _dejavu()
    chosen = [_DEJAVU]
    for family, characters in (_noto() if missing else {}).items():
        if missing & characters:
            chosen.append(family)
            missing -= characters
    return chosen


def missing_glyphs(text: str) -> set[str]:
    """Return the characters that no installed font has; a figure would show them as boxes."""
    missing = set(text) - _dejavu()
    return missing.difference(*_noto().values()) if missing else missing


def note(class_names: Iterable[str]) -> str:
    """Return a message for the user if no font has some character of a class name; else an empty text."""
    missing = missing_glyphs("".join(class_names))
    if not missing:
        return ""
    # No font has control, private or unassigned characters.
    if len(_folders()) < len(_PACKAGES) and any(unicodedata.category(c)[0] != "C" for c in missing):
        return (
            "some class names need fonts that are not installed, so the figures show class numbers; "
            "to draw most scripts, run `make setup EXTRA=--extra=fonts && dvc repro --force --single-item plot`"
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
        # Use our own family name, because a system font may have the name of the font in the package.
        family = f"reprocnn {path.name}"
        fontManager.ttflist.append(FontEntry(fname=str(path), name=family))
        found[family] = _characters(path)
    return found


def _paths() -> list[Path]:
    paths = [path for folder in _folders() for path in sorted(folder.iterdir()) if path.suffix in {".otf", ".ttf"}]
    return [path for path in paths if "Italic" not in path.name]


def _folders() -> list[Path]:
    """Return the folders of the installed font packages."""
    specs = [find_spec(package) for package in _PACKAGES]
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]


def _characters(path: Path) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(str(path)).get_charmap()))
