from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from reprocnn.files import md5, write_figure
from reprocnn.reporting import figures, report


def _history(epochs: int) -> pd.DataFrame:
    e = np.arange(1, epochs + 1)
    values = {"train_loss": 1 / e, "train_accuracy": 1 - 0.5 / e}
    values |= {"validation_loss": 1 / e, "validation_accuracy": 0.9 - abs(e - 2) / 100}
    return pd.DataFrame({"epoch": e, **values, "learning_rate": 0.001})


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
    write_figure(tmp_path / "a.png", figure)
    with Image.open(tmp_path / "a.png") as image:
        assert image.width <= 1000


@pytest.mark.parametrize("n", [2, 10, 100])
def test_a_confusion_matrix_of_any_number_of_classes(n: int, tmp_path: Path) -> None:
    counts = np.diag(np.arange(1, n + 1))
    counts[0, 1] = 3
    figure = figures.confusion_matrix(counts, _names(n), "heading")
    write_figure(tmp_path / "a.png", figure)
    assert ("75%" in _texts(figure)) is (n <= 20)  # 3 of 1 + 3
    assert ("3" in _texts(figure)) is (n <= 20)


def test_a_class_without_test_images_does_not_divide_by_zero(tmp_path: Path) -> None:
    figure = figures.confusion_matrix(np.zeros((2, 2), np.int64), ["a", "b"], "heading")
    write_figure(tmp_path / "a.png", figure)


@pytest.mark.parametrize(("n", "bars"), [(2, 2), (30, 30), (100, 30)])
def test_f1_shows_all_classes_or_the_best_and_worst(n: int, bars: int) -> None:
    scores = pd.DataFrame({"class": _names(n), "f1": np.linspace(0, 1, n)})
    figure = figures.per_class_f1(scores, "heading")
    assert len(figure.axes[0].patches) == bars
    assert _texts(figure)[0] == "1.000"
    assert _texts(figure)[-1] == "0.000"


@pytest.mark.parametrize("n", [0, 1, 20])
@pytest.mark.parametrize("channels", [1, 3])
def test_mistakes_of_any_number(n: int, channels: int, tmp_path: Path) -> None:
    rows = pd.DataFrame({"actual": ["a"] * n, "predicted": ["$b$"] * n, "confidence": [0.5] * n})
    figure = figures.mistakes(np.zeros((n, 8, 8, channels), np.uint8), rows, "heading")
    write_figure(tmp_path / "a.png", figure)
    assert sum(bool(axes.images) for axes in figure.axes) == n


def test_the_same_values_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_figure(tmp_path / name, figures.curves(_history(3), "heading"))
    assert md5(tmp_path / "a") == md5(tmp_path / "b")


def test_the_report_stands_alone_and_escapes_names(tmp_path: Path) -> None:
    write_figure(tmp_path / "a.png", figures.curves(_history(2), "heading"))
    scores = pd.DataFrame({"class": ["<script>"], "f1": [0.5]})
    page = report.html("a & b", {"scores": scores, "metrics": {"n": 3}}, {"curves": tmp_path / "a.png"})
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page
