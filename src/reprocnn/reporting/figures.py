"""Draw the figures. Each function takes values and returns a matplotlib figure; none reads or writes a file.

The colours are distinguishable for colour-blind readers (M. Okabe, K. Ito, "Color Universal Design", 2008).
"""

import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from reprocnn.artifacts.history import Epoch, best_epoch
from reprocnn.reporting import fonts

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


def _style(texts: list[str], **settings: Any) -> AbstractContextManager[None]:
    """Return the style of a figure that shows these texts. It doesn't depend on the user's matplotlibrc."""
    return style.context(["default", {**_STYLE, "font.family": fonts.families(texts), **settings}])


def _figure(width: float, height: float) -> Figure:
    return Figure((width, height), layout="constrained")


def title(dataset: str, model: str, accuracy: float) -> str:
    """Return the heading of the figures.

    Args:
        dataset: the name of the data set.
        model: the name of the model.
        accuracy: the test accuracy, 0-1.
    """
    return f"{dataset} · {model} · test accuracy {accuracy:.2%}"


def labels(class_names: Sequence[str]) -> dict[str, str]:
    """Return class name -> its label in the figures: the name, shortened to the width of 18 letters.

    A character that no installed font has becomes `?`. If some character is missing, or some labels would look alike or
    be invisible, every label begins with the number of its class, counted from 0.
    """
    missing = fonts.missing_glyphs("".join(class_names))
    shown = [_shorten("".join("?" if c in missing else c for c in name)) for name in class_names]
    distinct = {_visible(label) for label in shown}
    if missing or "" in distinct or len(distinct) < len(shown):
        shown = [_add_number(number, label) for number, label in enumerate(shown)]
    return dict(zip(class_names, shown, strict=True))


def replace_names(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Return a copy of a table with labels instead of class names in its columns class, actual and predicted."""
    columns = [name for name in ("class", "actual", "predicted") if name in table]
    return table.assign(**{name: table[name].map(labels) for name in columns})


def _add_number(number: int, label: str) -> str:
    """Prefix a label with the number of its class; return `class N` if the label has no letter, digit or symbol."""
    if all(unicodedata.category(c)[0] in "MPZ" for c in _visible(label)):
        return f"class {number}"
    return f"{number}: {_isolate(label)}"


def _visible(text: str) -> str:
    """Return the visible characters of a text. Both Unicode encodings of a letter such as `é` give the same result."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(c for c in composed if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f").strip()


def _width(text: str) -> int:
    """Return the width of a text in letters; a Chinese, Japanese or Korean character counts as two."""
    return sum(2 if unicodedata.east_asian_width(c) in "FW" else 1 for c in text)


def _shorten(name: str, limit: int = 18) -> str:
    if _width(name) <= limit:
        return name
    while _width(name) >= limit:
        name = name[:-1]
    return name + "…"


def _isolate(label: str) -> str:
    """Add Unicode's directional marks to a right-to-left label, so that the English text around it keeps its order."""
    if not any(unicodedata.bidirectional(c) in {"R", "AL"} for c in label):
        return label
    return f"\N{LEFT-TO-RIGHT MARK}\N{FIRST STRONG ISOLATE}{label}\N{POP DIRECTIONAL ISOLATE}"


def curves(history: list[Epoch], heading: str) -> Figure:
    """Plot the training and validation accuracy and loss per epoch, and mark the best epoch.

    Args:
        history: the results of each epoch.
        heading: the text above the figure.
    """
    best = best_epoch(history)
    marker = "o" if len(history) <= 30 else None
    numbers = [epoch.epoch for epoch in history]
    with _style([heading]):
        figure = _figure(9, 3.8)
        figure.suptitle(heading)
        for axes, metric in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
            for split, colour, line in (("train", BLUE, "-"), ("validation", ORANGE, "--")):
                values = [getattr(epoch, f"{split}_{metric}") for epoch in history]
                axes.plot(numbers, values, line, color=colour, label=split, marker=marker, ms=3)
            axes.axvline(best.epoch, color=GREY, lw=1, ls=":")
            axes.plot(best.epoch, getattr(best, f"validation_{metric}"), "*", ms=13, color=ORANGE, mec="black")
            axes.set(xlabel="epoch", title=metric)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.legend(
                title=f"★ best validation accuracy:\n    epoch {best.epoch}, {best.validation_accuracy:.2%}"
                if metric == "accuracy"
                else None
            )
            if metric == "accuracy":
                axes.yaxis.set_major_formatter(PercentFormatter(1))
        return figure


def confusion_matrix(counts: NDArray[np.int64], names: list[str], heading: str) -> Figure:
    """Draw the confusion matrix twice: as counts, and as fractions of the actual class (the row).

    With up to 20 classes, they are side by side, and each cell above 0 shows its number. With more classes, they are
    larger, one above the other, without numbers, and the colour scale emphasises small values.

    Args:
        counts: int64 (classes, classes), 0 or more: one row per actual class, one column per predicted class.
        names: the label of each class.
        heading: the text above the figure.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(names) <= 20
    size = 2.3 + 0.25 * len(names)
    with _style([heading, *names], **{"axes.grid": False, "figure.dpi": 100 if few else 150}):
        figure = _figure(2 * size, size + 0.6) if few else _figure(9, 17)
        figure.suptitle(heading)
        first, second = figure.subplots(1, 2) if few else figure.subplots(2, 1)
        _draw_matrix(first, counts, names, "images", "{:.0f}" if few else None)
        _draw_matrix(second, fractions, names, "fraction of the actual class", "{:.0%}" if few else None)
        return figure


def _draw_matrix(axes: Axes, values: NDArray[Any], names: list[str], title: str, cell: str | None) -> None:
    top = max(values.max(), 1)
    norm = None if cell else PowerNorm(0.4, vmin=0, vmax=top)
    image = axes.imshow(values, cmap="Blues", norm=norm or Normalize(0, top))
    if not cell:
        image.get_figure().colorbar(image, ax=axes, shrink=0.6)  # type: ignore[union-attr]
    ticks = np.arange(0, len(names), -(-len(names) // 100))
    shown = [names[i] for i in ticks]
    font = 9 if cell else 5
    axes.set_xticks(ticks, shown, rotation=90 if max(map(_width, shown)) > 2 else 0, fontsize=font)
    axes.set_yticks(ticks, shown, fontsize=font)
    axes.set(xlabel="predicted", ylabel="actual", title=title)
    if cell:
        for row, column in np.argwhere(values > 0):
            value = values[row, column]
            colour = "white" if value > top / 2 else "black"
            text = cell.format(value)
            axes.text(int(column), int(row), text, ha="center", va="center", color=colour, fontsize=8)


def per_class_f1(scores: pd.DataFrame, heading: str) -> Figure:
    """Draw the F1 score of each class, best first; classes without test images come last.

    With more than 30 classes, draw only classes with test images, and of these at most the 15 best and the 15 worst.

    Args:
        scores: one row per class; columns `class`, its label, and `f1`, 0-1, or NaN if it has no test images.
        heading: the text above the figure.
    """
    ordered = scores.sort_values("f1", ascending=False, kind="stable")
    measured = int(ordered["f1"].notna().sum())
    many, cut = len(ordered) > 30, measured > 30
    rest = "per class"
    if many:
        ordered = pd.concat([ordered.head(15), ordered[:measured].tail(15)]) if cut else ordered[:measured]
        rest = f"the 15 best and 15 worst of {measured} classes" if cut else f"of {measured} classes"
        rest += f", {len(scores) - measured} have no test images" if measured < len(scores) else ""
    with _style([heading, *ordered["class"]], **{"axes.grid.axis": "x"}):
        figure = _figure(7, 1.6 + 0.26 * len(ordered))
        axes = figure.subplots()
        _draw_bars(axes, ordered)
        axes.set(xlim=(0, 1.1), xlabel="F1", title=f"{heading}\nF1 {rest}")
        if cut:
            axes.axhline(14.5, color=GREY, lw=1, ls=":")
        return figure


def _draw_bars(axes: Axes, scores: pd.DataFrame) -> None:
    positions = np.arange(len(scores))
    axes.barh(positions, scores["f1"].fillna(0), color=BLUE)
    axes.set_yticks(positions, list(scores["class"]))
    axes.invert_yaxis()
    for position, value in zip(positions, scores["f1"], strict=True):
        if np.isnan(value):
            axes.text(0.01, int(position), "no test images", va="center", fontsize=9, color=GREY)
        else:
            axes.text(min(value, 1) + 0.01, int(position), f"{value:.3f}", va="center", fontsize=9)


def mistakes(images: NDArray[np.uint8], rows: pd.DataFrame, heading: str) -> Figure:
    """Draw the 20 most confident mistakes among classified images, each with its actual and predicted class.

    Args:
        images: uint8 (n, height, width, channels), 0-255, the most confident first.
        rows: one row per image; columns `actual` and `predicted`, labels, and `confidence`, 0-1.
        heading: the text above the figure.
    """
    wrong = np.flatnonzero(rows["actual"] != rows["predicted"])[:20]
    images, rows = images[wrong], rows.iloc[wrong]
    texts = [f"{_isolate(r.actual)} taken for\n{_isolate(r.predicted)} ({r.confidence:.0%})" for r in rows.itertuples()]
    is_long = any(_width(line) > 25 for text in texts for line in text.split("\n"))
    columns = 5
    lines = max(1, -(-len(rows) // columns))
    with _style([heading, *rows["actual"], *rows["predicted"]], **{"axes.grid": False}):
        figure = _figure(9, 0.9 + 2.2 * lines)
        figure.suptitle(f"{heading}\nmost confident mistakes" + ("" if len(rows) else ": none"))
        for axes in figure.subplots(lines, columns, squeeze=False).flat:
            axes.set_axis_off()
        for axes, image, text in zip(figure.axes, images, texts, strict=False):
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(text, fontsize=7 if is_long else 9)
        return figure
