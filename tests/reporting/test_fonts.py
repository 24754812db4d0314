from importlib.resources import files
from pathlib import Path

import pytest
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager

from reprocnn.errors import UserError
from reprocnn.reporting import fonts


def test_what_dejavu_has_needs_no_other_font() -> None:
    assert fonts.families(["ünïcode", "сова", "γάτα", "قطة", "חתול", "$5", "★…·"]) == ["DejaVu Sans"]
    assert fonts.families([]) == ["DejaVu Sans"]


def test_only_fonts_that_are_needed_are_chosen() -> None:
    chosen = fonts.families(["cat", "猫 고양이", "แมว"])
    assert chosen == ["DejaVu Sans", "reprocnn NotoSansThai[wght].ttf", "reprocnn NotoSansCJKjp-Regular.otf"]


def test_a_font_of_the_machine_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = findfont("DejaVu Serif")
    taken = ("Noto Sans CJK JP", "Noto Sans Thai", "DejaVu Sans")
    machine = [FontEntry(fname=stranger, name=name) for name in taken]
    chosen = fonts.families(["猫", "แมว"])
    monkeypatch.setattr(fontManager, "ttflist", fontManager.ttflist + machine)
    fontManager._findfont_cached.cache_clear()
    found = [Path(findfont(FontProperties(family=[family]))) for family in chosen]
    folders = [Path(str(files(package))) for package in ("manimgx_fonts", "noto_cjk_sans_jp_regular")]
    assert [path.parent for path in found[1:]] == [folder.resolve() for folder in folders]
    assert found[0].name == "DejaVuSans.ttf"


@pytest.mark.parametrize("first", ["一", "가", "ぁ", "ァ"])
def test_chinese_japanese_and_korean_are_whole(first: str) -> None:
    n = {"一": 20902, "가": 11172, "ぁ": 86, "ァ": 90}[first]
    assert not fonts.without_glyph("".join(chr(ord(first) + i) for i in range(n)))


def test_characters_without_a_glyph_are_found() -> None:
    assert fonts.without_glyph("cat 猫 ཀ\t") == {"ཀ", "\t"}


def test_absent_packages_are_an_error_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_PACKAGES", ("reprocnn_has_no_such_package",))
    fonts._noto.cache_clear()
    assert fonts.families(["cat"]) == ["DejaVu Sans"]
    with pytest.raises(UserError, match=r"reprocnn_has_no_such_package is not installed\n.*make setup"):
        fonts.families(["猫"])
