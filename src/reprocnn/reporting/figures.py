"""The figures: each takes values and returns a matplotlib figure; nothing here opens a file.

Colours: M. Okabe, K. Ito, "Color Universal Design", 2008, which people with any colour vision tell apart.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"

_STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "text.parse_math": False,  # a class may be called `$5`
}


def _figure(width: float, height: float) -> Figure:
    return Figure((width, height), layout="constrained")


def title(card: dict[str, Any], accuracy: float) -> str:
    """What every figure says of its run: data set, model, test accuracy."""
    return f"{card['dataset']} · {card['model']} · test accuracy {accuracy:.2%}"


def curves(history: pd.DataFrame, heading: str) -> Figure:
    """Accuracy and loss on the training and validation split by epoch, the best epoch marked."""
    best = history.loc[history["validation_accuracy"].idxmax()]
    with style.context(["default", _STYLE]):
        figure = _figure(9, 3.8)
        figure.suptitle(heading)
        for axes, metric in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
            for split, colour, line in (("train", BLUE, "-"), ("validation", ORANGE, "--")):
                values = history[f"{split}_{metric}"]
                marker = "o" if len(history) <= 30 else None
                axes.plot(history["epoch"], values, line, color=colour, label=split, marker=marker, ms=3)
            axes.axvline(best["epoch"], color=GREY, lw=1, ls=":")
            axes.plot(best["epoch"], best[f"validation_{metric}"], "*", ms=13, color=ORANGE, mec="black")
            axes.set(xlabel="epoch", title=metric)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.legend(
                title=f"★ best validation accuracy:\n    epoch {best['epoch']:.0f}, {best['validation_accuracy']:.2%}"
                if metric == "accuracy"
                else None
            )
            if metric == "accuracy":
                axes.yaxis.set_major_formatter(PercentFormatter(1))
        return figure


def confusion_matrix(counts: NDArray[np.int64], class_names: list[str], heading: str) -> Figure:
    """The confusion matrix as counts and as parts of each row.

    Up to 20 classes the two stand side by side and every cell has its number. Beyond, they stand one above the other,
    larger, and colour tells, on a scale that sets off small numbers.

    Args:
        counts: int64 (classes, classes), a row per actual class.
        class_names: the class of each row and column.
        heading: above it.
    """
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(class_names) <= 20
    size = 2.3 + 0.25 * len(class_names)
    with style.context(["default", {**_STYLE, "axes.grid": False, "figure.dpi": 100 if few else 150}]):
        figure = _figure(2 * size, size + 0.6) if few else _figure(9, 17)
        figure.suptitle(heading)
        first, second = figure.subplots(1, 2) if few else figure.subplots(2, 1)
        _matrix(first, counts, max(counts.max(), 1), class_names, "images", "{:.0f}" if few else None)
        _matrix(second, parts, 1, class_names, "part of the actual class", "{:.0%}" if few else None)
        return figure


def _matrix(axes: Axes, values: NDArray[Any], top: float, class_names: list[str], name: str, cell: str | None) -> None:
    norm = None if cell else PowerNorm(0.4, vmin=0, vmax=top)
    image = axes.imshow(values, cmap="Blues", norm=norm or Normalize(0, top))
    if not cell:
        image.get_figure().colorbar(image, ax=axes, shrink=0.6)  # type: ignore[union-attr]
    ticks = np.arange(0, len(class_names), -(-len(class_names) // 100))
    names = [_short(class_names[i]) for i in ticks]
    font = 9 if cell else 5
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=font)
    axes.set_yticks(ticks, names, fontsize=font)
    axes.set(xlabel="predicted", ylabel="actual", title=name)
    if cell:
        for row, column in np.argwhere(values > 0):
            value = values[row, column]
            colour = "white" if value > top / 2 else "black"
            text = cell.format(value)
            axes.text(int(column), int(row), text, ha="center", va="center", color=colour, fontsize=8)


def per_class_f1(scores: pd.DataFrame, heading: str) -> Figure:
    """F1 of each class, best first; with more than 30 classes the 15 best and the 15 worst."""
    ordered = scores.sort_values("f1", ascending=False, kind="stable")
    if cut := len(ordered) > 30:
        ordered = pd.concat([ordered.head(15), ordered.tail(15)])
    with style.context(["default", {**_STYLE, "axes.grid.axis": "x"}]):
        figure = _figure(7, 1.6 + 0.26 * len(ordered))
        axes = figure.subplots()
        positions = np.arange(len(ordered))
        axes.barh(positions, ordered["f1"], color=BLUE)
        axes.set_yticks(positions, [_short(name) for name in ordered["class"]])
        axes.invert_yaxis()
        for position, value in zip(positions, ordered["f1"], strict=True):
            axes.text(min(value, 1) + 0.01, int(position), f"{value:.3f}", va="center", fontsize=9)
        rest = f"the 15 best and 15 worst of {len(scores)} classes" if cut else "per class"
        axes.set(xlim=(0, 1.1), xlabel="F1", title=f"{heading}\nF1 {rest}")
        if cut:
            axes.axhline(14.5, color=GREY, lw=1, ls=":")
        return figure


def mistakes(images: NDArray[np.uint8], rows: pd.DataFrame, heading: str) -> Figure:
    """The mistakes of the highest confidence.

    Args:
        images: uint8 (n, height, width, channels), 0-255.
        rows: a row per image: actual, predicted, confidence.
        heading: above it.
    """
    columns = 5
    lines = max(1, -(-len(rows) // columns))
    with style.context(["default", {**_STYLE, "axes.grid": False}]):
        figure = _figure(9, 0.9 + 2.2 * lines)
        figure.suptitle(f"{heading}\nmost confident mistakes" + ("" if len(rows) else ": none"))
        for axes in figure.subplots(lines, columns, squeeze=False).flat:
            axes.set_axis_off()
        for axes, image, row in zip(figure.axes, images, rows.itertuples(), strict=False):
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            text = f"{_short(row.actual)} taken for\n{_short(row.predicted)} ({row.confidence:.0%})"
            axes.set_title(text, fontsize=9)
        return figure


def _short(name: str, most: int = 18) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
