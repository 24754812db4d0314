"""Describe the charts of the report in Vega-Lite, as dicts of its JSON. Colours and fonts are those of the page.

Vega-Lite is what DVC's plots use too. Its script takes 0.9 MB, that of plotly 4.8 MB, and its charts are SVG, which
screen readers can read and which print sharply.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import pandas as pd

from reprocnn.artifacts.history import Epoch, best_epoch

Chart = dict[str, Any]
Rows = list[dict[str, Any]]

_MOST_EPOCHS = 500
_ZOOM = {
    "name": "zoom",
    # With the plain wheel a reader scrolls the page.
    "select": {"type": "interval", "zoom": "wheel![event.shiftKey]"},
    "bind": "scales",
}


@cache
def bundle() -> Future[str]:
    """Start a process that bundles the JavaScript for `script`; a second call starts none.

    Bundling takes two seconds. In this process it would block all other threads, because it holds the interpreter lock.
    """
    command = [sys.executable, "-c", "import vl_convert; print(vl_convert.javascript_bundle(), end='')"]
    make = partial(subprocess.check_output, command, stderr=subprocess.PIPE, encoding="utf-8")
    return ThreadPoolExecutor(1).submit(make)


def script() -> str:
    """Return JavaScript that defines `vegaEmbed`, which draws the charts."""
    return bundle().result()


def chart(description: str, rows: Rows, **spec: Any) -> Chart:
    """Return a chart that is as wide as its place in the page.

    Args:
        description: what a screen reader says.
        rows: the data.
        spec: marks, encodings and others, as in Vega-Lite.
    """
    return {"description": description, "data": {"values": rows}, "width": "container", "height": 240, **spec}


def axis(field: str, title: str, *, percent: bool = False, zero: bool = True, **more: Any) -> Chart:
    """Return the encoding of a number on an axis."""
    own = {"format": "~%"} if percent else {}
    scale = {"zero": zero} | more.pop("scale", {})
    return {"field": field, "type": "quantitative", "title": title, "axis": own | more, "scale": scale}


def series(field: str, order: Sequence[str]) -> Chart:
    """Return encodings that tell series apart by colour, dashes and shape, so that they differ without colour too."""
    legend = {"title": None, "orient": "top", "symbolSize": 150}
    by = {"field": field, "type": "nominal", "scale": {"domain": list(order)}, "legend": legend}
    return {"color": by, "strokeDash": by, "shape": by}


def curves(history: list[Epoch]) -> dict[str, Chart]:
    """Return charts of accuracy, loss and learning rate per epoch, by name. A line marks the best epoch.

    Args:
        history: the results of each epoch; of more than 500, evenly spaced ones are drawn.
    """
    best = best_epoch(history)
    step = -(-len(history) // _MOST_EPOCHS)
    drawn = [epoch for epoch in history if (epoch.epoch - 1) % step == 0 or epoch in (best, history[-1])]
    return {
        "accuracy": _curve("accuracy", drawn, best, percent=True),
        "loss": _curve("loss", drawn, best, percent=False),
        "learning rate": _learning_rate(drawn),
    }


def epochs() -> Chart:
    """Return the encoding of the epochs on an axis."""
    whole = "datum.value % 1 ? '' : datum.label"
    return axis("epoch", "epoch", zero=False, labelExpr=whole, format="d", scale={"nice": False})


def _curve(metric: str, history: list[Epoch], best: Epoch, percent: bool) -> Chart:
    """Return the chart of a metric on the training and validation split."""
    splits = ("train", "validation")
    rows = [
        {"epoch": epoch.epoch, "split": split, metric: _rounded(getattr(epoch, f"{split}_{metric}"))}
        for epoch in history
        for split in splits
    ]
    last = ", ".join(f"{row['split']} {row[metric]:.4g}" for row in rows[-2:])
    tooltip = [
        {"field": "epoch"},
        {"field": "split"},
        {"field": metric, "type": "quantitative", "format": ".2%" if percent else ".4f"},
    ]
    lines: Chart = {
        "params": [_ZOOM],
        "mark": {"type": "line", "point": {"filled": True, "size": 40}},
        "encoding": {
            "y": axis(metric, metric, percent=percent, zero=False),
            "tooltip": tooltip,
            **series("split", splits),
        },
    }
    marker: Chart = {
        "data": {"values": [{"epoch": best.epoch, "note": f"best epoch: {best.epoch}"}]},
        "mark": {"type": "rule", "strokeDash": [2, 3], "size": 1.5},
        "encoding": {"tooltip": {"field": "note"}},
    }
    description = f"{metric} per epoch; in epoch {history[-1].epoch}: {last}; best epoch {best.epoch}"
    return chart(description, rows, encoding={"x": epochs()}, layer=[marker, lines])


def _learning_rate(history: list[Epoch]) -> Chart:
    rows = [{"epoch": epoch.epoch, "rate": _rounded(epoch.learning_rate)} for epoch in history]
    return chart(
        f"learning rate per epoch, {rows[0]['rate']:g} to {rows[-1]['rate']:g}",
        rows,
        params=[_ZOOM],
        mark={"type": "line", "point": {"filled": True, "size": 40}},
        encoding={
            "x": epochs(),
            "y": axis("rate", "learning rate", format="~g"),
            "tooltip": [{"field": "epoch"}, {"field": "rate", "title": "learning rate"}],
        },
    )


def reliability(table: pd.DataFrame) -> Chart:
    """Return the reliability diagram, before and after temperature scaling. A point is the larger, the more images it
    stands for; empty bins have none.

    Args:
        table: the columns of `write_reliability`.
    """
    stages = {"before": "", "after scaling": "calibrated_"}
    rows = [
        {"stage": stage, **{name: _rounded(row[f"{prefix}{name}"]) for name in ("confidence", "accuracy", "n")}}
        for stage, prefix in stages.items()
        for row in table.to_dict("records")
        if row[f"{prefix}n"]
    ]
    numbers = [{"field": name, "type": "quantitative", "format": ".1%"} for name in ("confidence", "accuracy")]
    points: Chart = {
        "mark": {"type": "point", "filled": True, "opacity": 0.8},
        "encoding": {
            "x": axis("confidence", "mean confidence", percent=True, scale={"domain": [0, 1]}, tickCount=5),
            "y": axis("accuracy", "accuracy", percent=True, scale={"domain": [0, 1]}),
            "size": {"field": "n", "type": "quantitative", "scale": {"range": [40, 400]}, "legend": None},
            "tooltip": [*numbers, {"field": "n", "title": "images"}],
            **{name: by for name, by in series("stage", list(stages)).items() if name != "strokeDash"},  # no lines
        },
    }
    ideal: Chart = {
        "data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]},
        "mark": {"type": "line", "strokeDash": [2, 3], "strokeWidth": 1, "color": "grey"},
        "encoding": {
            "x": {"field": "confidence", "type": "quantitative"},
            "y": {"field": "accuracy", "type": "quantitative"},
        },
    }
    return chart("accuracy against confidence; on the diagonal they are equal", rows, layer=[ideal, points])


def coverage(table: pd.DataFrame) -> Chart:
    """Return a chart of the accuracy if only the most confident images are answered.

    Args:
        table: the columns of `write_coverage`.
    """
    names = ("coverage", "accuracy", "accuracy_low", "accuracy_high", "threshold")
    rows = [{name: _rounded(row[name]) for name in names} for row in table.to_dict("records")]
    tooltip = [{"field": name, "type": "quantitative", "format": ".1%"} for name in names]
    x = axis("coverage", "fraction of the images that are answered", percent=True, tickCount=5)
    band: Chart = {
        "mark": {"type": "area", "opacity": 0.2},
        "encoding": {
            "y": axis("accuracy_low", "accuracy", percent=True, zero=False),
            "y2": {"field": "accuracy_high"},
        },
    }
    line: Chart = {
        "mark": {"type": "line", "point": {"filled": True, "size": 40}},
        "encoding": {"y": axis("accuracy", "accuracy", percent=True, zero=False), "tooltip": tooltip},
    }
    description = (
        f"accuracy against coverage: {rows[0]['accuracy']:.1%} of the most confident {rows[0]['coverage']:.0%}"
    )
    return chart(f"{description}, {rows[-1]['accuracy']:.1%} of all", rows, encoding={"x": x}, layer=[band, line])


def robustness(table: pd.DataFrame) -> Chart:
    """Return a chart of the accuracy against the strength of each corruption.

    Args:
        table: the columns of `write_robustness`, at least the row of unchanged images.
    """
    unchanged = table[table["corruption"] == "none"].iloc[0]
    kinds = [kind for kind in table["corruption"].unique() if kind != "none"]
    rows = [
        {"corruption": kind, **{name: float(row[name]) for name in ("strength", "accuracy", "low", "high")}}
        for kind in kinds
        for row in [unchanged, *table[table["corruption"] == kind].to_dict("records")]
    ]
    worst = min(rows, key=lambda row: row["accuracy"])
    numbers = [{"field": name, "type": "quantitative", "format": ".1%"} for name in ("accuracy", "low", "high")]
    whole = "datum.value % 1 ? '' : datum.value ? datum.label : 'unchanged'"
    return chart(
        f"accuracy against strength of corruption; lowest: {worst['accuracy']:.1%} with {worst['corruption']}",
        rows,
        mark={"type": "line", "point": {"filled": True, "size": 40}},
        encoding={
            "x": axis("strength", "strength", labelExpr=whole, tickCount=3, format="d"),
            "y": axis("accuracy", "accuracy", percent=True),
            "tooltip": [{"field": "corruption"}, {"field": "strength"}, *numbers],
            **series("corruption", kinds),
        },
    )


def class_balance(counts: Mapping[str, Sequence[int]], names: Sequence[str]) -> Chart:
    """Return a chart of the number of images per class and split.

    Args:
        counts: name of a split -> the number of images of each class.
        names: the name of each class.
    """
    rows = [
        {"class": name, "number": number, "split": split, "part": part, "images": int(images)}
        for part, (split, per_class) in enumerate(counts.items())
        for number, (name, images) in enumerate(zip(names, per_class, strict=True))
    ]
    order = {"field": "number", "op": "min"}
    labels = {"labelOverlap": True} | ({"labelAngle": 0} if sum(map(len, names)) <= 40 else {})
    return chart(
        f"images per class: {min(map(sum, zip(*counts.values(), strict=True))):,} to "
        f"{max(map(sum, zip(*counts.values(), strict=True))):,}",
        rows,
        mark="bar",
        encoding={
            "x": {"field": "class", "type": "nominal", "sort": order, "title": "class", "axis": labels},
            "y": axis("images", "images", tickMinStep=1),
            "color": {
                "field": "split",
                "type": "nominal",
                "sort": list(counts),
                "legend": {"orient": "top", "title": None},
            },
            "order": {"field": "part"},
            "tooltip": [{"field": "class"}, {"field": "split"}, {"field": "images"}],
        },
    )


def _rounded(value: float) -> float:
    """Return a number with six significant digits: more can't be seen, and the page stays small."""
    return float(f"{value:.6g}")
