from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager

from reprocnn.reporting import fonts


def test_what_dejavu_has_needs_no_other_font() -> None:
    assert fonts.families(["ünïcode", "сова", "γάτα", "قطة", "חתול", "$5", "★…·"]) == ["DejaVu Sans"]
    assert fonts.families([]) == ["DejaVu Sans"]


@pytest.mark.fonts
def test_only_fonts_that_are_needed_are_chosen() -> None:
    chosen = fonts.families(["cat", "猫 고양이", "แมว"])
    assert chosen == ["DejaVu Sans", "reprocnn NotoSansThai[wght].ttf", "reprocnn NotoSansCJKjp-Regular.otf"]


@pytest.mark.fonts
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


@pytest.mark.fonts
@pytest.mark.parametrize("first", ["一", "가", "ぁ", "ァ"])
def test_chinese_japanese_and_korean_are_whole(first: str) -> None:
    n = {"一": 20902, "가": 11172, "ぁ": 86, "ァ": 90}[first]
    assert not fonts.without_glyph("".join(chr(ord(first) + i) for i in range(n)))


@pytest.mark.fonts
def test_characters_without_a_glyph_are_found() -> None:
    assert fonts.without_glyph("cat 猫 ཀ\t") == {"ཀ", "\t"}


def test_without_the_packages_there_is_dejavu(without_packages: None) -> None:
    assert fonts.families(["cat", "猫", "แมว"]) == ["DejaVu Sans"]
    assert fonts.without_glyph("cat 猫 قطة\t") == {"猫", "\t"}


def test_the_folder_that_an_uninstalled_package_left_is_no_package(
    use_packages: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "reprocnn_left_over" / "__pycache__").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    use_packages("reprocnn_left_over")
    assert fonts.without_glyph("猫") == {"猫"}
    assert "EXTRA=--extra=fonts" in fonts.note(["猫"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat", "قطة"], ""),
        (["cat", "猫"], "make setup EXTRA=--extra=fonts && dvc repro --force --single-item plot"),
        (["猫\t"], "make setup"),
        (["a\tb", "\ue000"], "no font has"),
    ],
)
def test_a_note_names_the_extra_where_it_helps(names: list[str], said: str, without_packages: None) -> None:
    assert said in fonts.note(names)
    assert bool(fonts.note(names)) is bool(said)
    assert "\n" not in fonts.note(names)


def test_a_note_does_not_name_the_extra_where_it_is_installed(use_packages: Callable[..., None]) -> None:
    use_packages("matplotlib")  # there, but without a font for it
    assert fonts.note(["ཀ"]) == "some class names have characters that no font has, so the figures show class numbers"
