from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager

from reprocnn.reporting import fonts


def test_characters_in_dejavu_need_no_other_font() -> None:
    assert fonts.families(["ünïcode", "сова", "γάτα", "قطة", "חתול", "$5", "★…·"]) == ["DejaVu Sans"]
    assert fonts.families([]) == ["DejaVu Sans"]


@pytest.mark.fonts
def test_only_fonts_that_are_needed_are_chosen() -> None:
    chosen = fonts.families(["cat", "猫 고양이", "แมว"])
    assert chosen == ["DejaVu Sans", "reprocnn NotoSansThai[wght].ttf", "reprocnn NotoSansCJKjp-Regular.otf"]


@pytest.mark.fonts
def test_a_system_font_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    file = findfont("DejaVu Serif")
    system = [FontEntry(fname=file, name=name) for name in ("Noto Sans CJK JP", "Noto Sans Thai", "DejaVu Sans")]
    chosen = fonts.families(["猫", "แมว"])
    monkeypatch.setattr(fontManager, "ttflist", fontManager.ttflist + system)
    fontManager._findfont_cached.cache_clear()  # type: ignore[attr-defined]
    found = [Path(findfont(FontProperties(family=[family]))) for family in chosen]
    folders = [Path(str(files(package))) for package in ("manimgx_fonts", "noto_cjk_sans_jp_regular")]
    assert [path.parent for path in found[1:]] == [folder.resolve() for folder in folders]
    assert found[0].name == "DejaVuSans.ttf"


@pytest.mark.fonts
@pytest.mark.parametrize("first", ["一", "가", "ぁ", "ァ"])
def test_all_chinese_japanese_and_korean_characters_have_glyphs(first: str) -> None:
    n = {"一": 20902, "가": 11172, "ぁ": 86, "ァ": 90}[first]
    assert not fonts.missing_glyphs("".join(chr(ord(first) + i) for i in range(n)))


@pytest.mark.fonts
def test_missing_glyphs_returns_the_characters_that_no_font_has() -> None:
    assert fonts.missing_glyphs("cat 猫 ཀ\t") == {"ཀ", "\t"}


def test_without_the_packages_only_dejavu_is_used(without_packages: None) -> None:
    assert fonts.families(["cat", "猫", "แมว"]) == ["DejaVu Sans"]
    assert fonts.missing_glyphs("cat 猫 قطة\t") == {"猫", "\t"}


def test_an_empty_folder_left_by_an_uninstalled_package_is_ignored(
    use_packages: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "reprocnn_left_over" / "__pycache__").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    use_packages("reprocnn_left_over")
    assert fonts.missing_glyphs("猫") == {"猫"}
    assert "EXTRA=--extra=fonts" in fonts.note(["猫"])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cat", "قطة"], ""),
        (["cat", "猫"], "make setup EXTRA=--extra=fonts && dvc repro --force --single-item plot"),
        (["猫\t"], "make setup"),
        (["a\tb", "\ue000"], "no font has"),
    ],
)
def test_the_note_names_the_extra_if_it_helps(names: list[str], expected: str, without_packages: None) -> None:
    assert expected in fonts.note(names)
    assert bool(fonts.note(names)) is bool(expected)
    assert "\n" not in fonts.note(names)


def test_the_note_does_not_name_the_extra_if_it_is_installed(use_packages: Callable[..., None]) -> None:
    use_packages("matplotlib")  # an installed package without a font for this character
    assert fonts.note(["ཀ"]) == "some class names have characters that no font has, so the figures show class numbers"
