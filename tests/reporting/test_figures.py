import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from reprocnn.artifacts.figures import png
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.history import Epoch
from reprocnn.reporting import figures

DEJAVU = [
    "قطة",
    "سگ مشکی",
    "می\u200cشود",
    "חתול (cat) 12",
    "abc قطة def",
    "cafe\u0301",
    "a$x_1$",
    "a\u200bb",
    "ünï сова",
]
NOTO = [
    *("猫", "苹果", "日本語の犬", "ペンギン", "고양이", "कुत्ता", "แมว", "பூனை", "বিড়াল", "ឆ្មា", "ድመት", "🍎", "❤️"),
    *(unicodedata.normalize("NFD", name) for name in ("ペンギン 1", "고양이 1")),  # as macOS writes file names
]


def _history(epochs: int) -> list[Epoch]:
    return [Epoch(e, 1 / e, 1 - 0.5 / e, 1 / e, 0.9 - abs(e - 2) / 100, 0.001) for e in range(1, epochs + 1)]


def _write(path: Path, figure: Figure) -> None:
    path.write_bytes(png(figure))


def _names(n: int) -> list[str]:
    return ["$5", "ünïcode", "a very long name of a class, longer than the plot"][:n] + [
        f"class {i}" for i in range(n - 3)
    ]


def _texts(figure: Figure) -> list[str]:
    return [t.get_text() for axes in figure.axes for t in axes.texts]


@pytest.mark.parametrize("epochs", [1, 3, 200])
def test_curves_mark_the_best_epoch(epochs: int, tmp_path: Path) -> None:
    figure = figures.curves(_history(epochs), "heading")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert f"epoch {min(epochs, 2)}, 9" in legend.get_title().get_text() or epochs == 1
    _write(tmp_path / "a.png", figure)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width <= 1000


@pytest.mark.parametrize("n", [2, 10, 100])
def test_a_confusion_matrix_of_any_size_is_drawn(n: int, tmp_path: Path) -> None:
    counts = np.diag(np.arange(1, n + 1))
    counts[0, 1] = 3
    figure = figures.confusion_matrix(counts, _names(n), "heading")
    _write(tmp_path / "a.png", figure)
    assert ("75%" in _texts(figure)) is (n <= 20)  # 3 of 1 + 3
    assert ("3" in _texts(figure)) is (n <= 20)


def test_a_class_without_test_images_causes_no_division_by_zero(tmp_path: Path) -> None:
    figure = figures.confusion_matrix(np.zeros((2, 2), np.int64), ["a", "b"], "heading")
    _write(tmp_path / "a.png", figure)


@pytest.mark.parametrize(("n", "bars"), [(2, 2), (30, 30), (100, 30)])
def test_f1_shows_all_classes_or_the_best_and_worst(n: int, bars: int) -> None:
    scores = pd.DataFrame({"class": _names(n), "f1": np.linspace(0, 1, n)})
    figure = figures.per_class_f1(scores, "heading")
    assert len(figure.axes[0].patches) == bars
    assert _texts(figure)[0] == "1.000"
    assert _texts(figure)[-1] == "0.000"


@pytest.mark.parametrize(("n", "drawn"), [(0, 0), (1, 1), (20, 20), (21, 20)])
@pytest.mark.parametrize("channels", [1, 3])
def test_up_to_20_mistakes_are_drawn_and_no_hits(n: int, drawn: int, channels: int, tmp_path: Path) -> None:
    predicted = [word for _ in range(n) for word in ("a", "$b$")]
    rows = pd.DataFrame({"actual": ["a"] * 2 * n, "predicted": predicted, "confidence": [0.5] * 2 * n})
    figure = figures.mistakes(np.zeros((2 * n, 8, 8, channels), np.uint8), rows, "heading")
    _write(tmp_path / "a.png", figure)
    assert sum(bool(axes.images) for axes in figure.axes) == drawn


def _draw(folder: Path, names: list[str]) -> list[str]:
    """Draw each figure that shows class names; return the hashes of the files."""
    n = len(names)
    scores = pd.DataFrame({"class": names, "f1": 1.0})
    rows = pd.DataFrame({"actual": names, "predicted": names[1:] + names[:1], "confidence": 0.5})
    images = np.zeros((n, 8, 8, 1), np.uint8)
    # matplotlib warns of a character without a glyph, which it draws as a box; pytest turns the warning into an error.
    _write(folder / "a.png", figures.confusion_matrix(np.eye(n, dtype=np.int64), names, "heading"))
    _write(folder / "b.png", figures.per_class_f1(scores, "heading"))
    _write(folder / "c.png", figures.mistakes(images, rows, "heading"))
    return [md5(folder / f"{name}.png") for name in "abc"]


@pytest.mark.parametrize(
    "names", [DEJAVU, pytest.param(NOTO, marks=pytest.mark.fonts), pytest.param(DEJAVU + NOTO, marks=pytest.mark.fonts)]
)
def test_names_in_any_script_are_drawn_unchanged(names: list[str], tmp_path: Path) -> None:
    labels = list(figures.labels(names).values())
    assert labels == names
    assert _draw(tmp_path, labels) == _draw(tmp_path, labels)


def test_names_without_glyphs_get_numbers_instead_of_boxes(tmp_path: Path) -> None:
    names = ["cat", "ཀུན་ dog", "a\tb", "\ue000", "ཀུན་, (ཀུ)", "קוף", "cat 2", "ཀ2"]
    labels = list(figures.labels(names).values())
    assert labels[:5] == ["0: cat", "1: ???? dog", "2: a?b", "class 3", "class 4"]
    assert labels[5].startswith("5: \N{LEFT-TO-RIGHT MARK}")
    assert labels[6:] == ["6: cat 2", "7: ?2"]
    _draw(tmp_path, labels)


def test_without_the_extra_fonts_names_get_numbers_instead_of_boxes(without_packages: None, tmp_path: Path) -> None:
    labels = list(figures.labels(NOTO + DEJAVU).values())
    assert labels[:13] == [*(f"class {number}" for number in range(12)), "12: ❤️"]
    assert labels[13:15] == ["13: ?????? 1", "14: ??????? 1"]
    assert labels[-1] == f"{len(labels) - 1}: ünï сова"
    assert len(set(labels)) == len(labels)
    assert _draw(tmp_path, labels) == _draw(tmp_path, labels)
    assert _draw(tmp_path, list(figures.labels(NOTO[:2]).values()))


@pytest.mark.fonts
def test_with_one_font_package_only_the_names_that_it_lacks_become_numbers(
    use_packages: Callable[..., None], tmp_path: Path
) -> None:
    use_packages("manimgx_fonts", "reprocnn_has_no_such_package")
    labels = list(figures.labels(["猫", "แมว", "cat"]).values())
    assert labels == ["class 0", "1: แมว", "2: cat"]
    assert _draw(tmp_path, labels) == _draw(tmp_path, labels)
    use_packages("reprocnn_has_no_such_package", "noto_cjk_sans_jp_regular")
    assert list(figures.labels(["猫", "แมว", "cat"]).values()) == ["0: 猫", "class 1", "2: cat"]


@pytest.mark.parametrize(
    "names",
    [
        ["golden retriever long hair", "golden retriever long tail"],
        ["café", "cafe\u0301"],
        ["cat", "ca\u200bt"],
        pytest.param(["中文很长的名字而且还要更长", "中文很长的名字而且还要更长一点"], marks=pytest.mark.fonts),
    ],
)
def test_names_that_look_alike_get_numbers(names: list[str]) -> None:
    assert [label[:3] for label in figures.labels(names).values()] == ["0: ", "1: "]


def test_an_invisible_name_becomes_a_number() -> None:
    assert list(figures.labels(["cat", " "]).values()) == ["0: cat", "class 1"]


def test_labels_are_the_names_shortened_to_a_width() -> None:
    names = ["a" * 18, "b" * 19, "⚡" * 9, "☕" * 10, "$5"]  # ⚡ and ☕ are as wide as a Chinese character
    assert list(figures.labels(names).values()) == ["a" * 18, "b" * 17 + "…", "⚡" * 9, "☕" * 8 + "…", "$5"]


def test_wide_names_do_not_overlap() -> None:
    rotation = {}
    for names in (["猫", "犬"], ["苹果", "香蕉"], ["ab", "cd"]):
        figure = figures.confusion_matrix(np.eye(2, dtype=np.int64), names, "heading")
        rotation[names[0]] = figure.axes[0].get_xticklabels()[0].get_rotation()
    assert rotation == {"猫": 0, "苹果": 90, "ab": 0}


def test_the_text_of_a_mistake_reads_from_left_to_right_with_right_to_left_names() -> None:
    rows = pd.DataFrame({"actual": ["قطة"], "predicted": ["cat"], "confidence": [0.5]})
    text = figures.mistakes(np.zeros((1, 8, 8, 1), np.uint8), rows, "heading").axes[0].get_title()
    assert text == "\u200e\u2068قطة\u2069 taken for\ncat (50%)"


def test_the_text_of_a_mistake_is_smaller_if_a_name_is_long() -> None:
    for name, size in (("a" * 15, 9), ("a" * 16, 7)):
        rows = pd.DataFrame({"actual": [name], "predicted": ["b"], "confidence": [0.5]})
        figure = figures.mistakes(np.zeros((1, 8, 8, 1), np.uint8), rows, "heading")
        assert figure.axes[0].title.get_fontsize() == size


def test_classes_without_test_images_come_last_and_have_no_f1(tmp_path: Path) -> None:
    scores = pd.DataFrame({"class": ["a", "b", "c"], "f1": [np.nan, 0.0, 0.5]})
    figure = figures.per_class_f1(scores, "heading")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["c", "b", "a"]
    assert _texts(figure) == ["0.500", "0.000", "no test images"]
    _write(tmp_path / "a.png", figure)


@pytest.mark.parametrize(("measured", "bars"), [(0, 0), (1, 1), (30, 30), (31, 30), (99, 30)])
def test_with_many_classes_f1_shows_only_those_with_test_images(measured: int, bars: int, tmp_path: Path) -> None:
    f1 = np.where(np.arange(100) < measured, np.linspace(0, 1, 100), np.nan)
    figure = figures.per_class_f1(pd.DataFrame({"class": _names(100), "f1": f1}), "heading")
    assert len(figure.axes[0].patches) == bars
    assert f"{measured} classes, {100 - measured} have no test images" in figure.axes[0].get_title()
    _write(tmp_path / "a.png", figure)


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        _write(tmp_path / name, figures.curves(_history(3), "heading"))
    assert md5(tmp_path / "a") == md5(tmp_path / "b")
