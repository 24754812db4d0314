"""Write a comparison of experiments as a page with charts, which needs no network."""

from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from reprocnn.artifacts.files import write_bytes
from reprocnn.commands.compare import Report
from reprocnn.commands.compare_tables import Section, sections, value_text
from reprocnn.ledger.reports import Reports, read_epochs, read_test_images
from reprocnn.reporting import pages
from reprocnn.reporting.charts import Chart, Rows, axis, chart, epochs
from reprocnn.reporting.thumbnails import data_uri

PAGE = Path("reports/compare.html")
"""Not an output of a stage: its content depends on which experiments exist. Git ignores it."""

_TITLE = "Comparison of experiments"
_SCORES = {"validation": "validation_accuracy", "test": "test_accuracy"}
"""Axis of the parallel coordinates -> metric."""
_MOST_PICTURES = 100
_CHOSEN = {"name": "chosen", "select": {"type": "point", "fields": ["group"]}, "bind": "legend"}
_PERCENT = {"field": "accuracy", "type": "quantitative", "format": ".2%"}


def write_page(report: Report) -> None:
    """Write the page: the tables, the curves of validation accuracy, and parallel coordinates.

    Raises:
        UserError: the history of a result is missing.
    """
    charts = {"Validation accuracy": curves(report)}
    if report.differing:
        charts["Parameters and accuracies, one line per experiment"] = parallel_coordinates(report)
    parts = [_part(section) for section in sections(report)]
    text = pages.render(
        "compare.html",
        title=_TITLE,
        parts=parts,
        pictures=_pictures(report),
        charts=charts,
        axes=len(report.differing) + len(_SCORES),
        groups=list(dict.fromkeys(_label(report, row) for row in report.rows)),
    )
    write_bytes(PAGE, text.encode())


def _part(section: Section) -> dict[str, Any]:
    """Return a section as plain values for the template."""
    table = section.table or Table()
    return {
        "title": section.title,
        "columns": [column.header for column in table.columns],
        "sides": [column.justify for column in table.columns],
        "rows": list(zip(*([str(cell).split("\n") for cell in column.cells] for column in table.columns), strict=True)),
        "lines": section.lines,
    }


def _pictures(report: Report) -> Rows:
    """Return the images that only one of two results has right, as data URIs; none if they are not on this machine."""
    pair = report.pair
    if not pair or not pair.images:
        return []
    images = read_test_images(next(row.result for row in report.rows if row.name == pair.first))
    if images is None:
        return []
    right = {True: pair.first, False: pair.second}
    return [
        {
            "uri": data_uri(np.asarray(images[row["index_1"]])),
            "actual": row["actual"],
            "right": right[row["predicted_1"] == row["actual"]],
            "wrong": row["predicted_2"] if row["predicted_1"] == row["actual"] else row["predicted_1"],
        }
        for row in pair.images[:_MOST_PICTURES]
    ]


def curves(report: Report) -> Chart:
    """Return the chart of the validation accuracies per epoch, one line per result."""
    rows = [
        {"name": row.name, "group": _label(report, row), "epoch": epoch.epoch, "accuracy": epoch.validation_accuracy}
        for row in report.rows
        for epoch in read_epochs(row.result)
    ]
    return chart(
        f"validation accuracy per epoch of {len(report.rows)} experiments",
        rows,
        params=[_CHOSEN],
        mark={"type": "line", "point": {"size": 15}},
        encoding={
            "x": epochs(),
            "y": axis("accuracy", "validation accuracy", percent=True, zero=False),
            "detail": {"field": "name"},
            "tooltip": [{"field": "name"}, {"field": "group"}, {"field": "epoch"}, _PERCENT],
            **_groups(rows),
        },
    )


def _label(report: Report, row: Reports) -> str:
    """Return the values of the parameters that a result is grouped by, which give its line a colour."""
    return ", ".join(f"{key}={value_text(row.params.get(key))}" for key in report.grouped_by) or row.name


def _groups(rows: Rows) -> Chart:
    """Return the encodings of the group of a line: its colour and, if it is chosen in the legend, its opacity."""
    many = len({row["group"] for row in rows}) > 6
    return {
        "color": {
            "field": "group",
            "type": "nominal",
            "legend": {"title": None, "orient": "bottom", "columns": 1, "labelLimit": 600, "symbolOpacity": 1},
            **({"scale": {"scheme": "tableau20"}} if many else {}),
        },
        "opacity": {"condition": {"param": "chosen", "value": 0.8}, "value": 0.1},
    }


def parallel_coordinates(report: Report) -> Chart:
    """Return the chart with an axis per differing parameter and per accuracy.

    Each axis goes from its lowest to its highest value, or through its values in order.
    """
    axes = {key: [row.params.get(key) for row in report.rows] for key in report.differing}
    axes |= {name: [row.metrics.get(metric) for row in report.rows] for name, metric in _SCORES.items()}
    points = _points(report, axes)
    ticks = {tuple(_tick(point).items()): _tick(point) for point in points if _is_labelled(point, axes)}
    x = {"field": "axis", "type": "nominal", "sort": list(axes), "title": None}
    top = {"labelAngle": 0, "orient": "top", "grid": True}
    y = {"field": "place", "type": "quantitative", "axis": None, "scale": {"domain": [-0.05, 1.1], "nice": False}}
    lines: Chart = {
        "params": [_CHOSEN],
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": x | {"axis": top},
            "y": y,
            "detail": {"field": "name"},
            "tooltip": [{"field": "name"}, {"field": "axis"}, {"field": "value"}],
            **_groups(points),
        },
    }
    labels: Chart = {
        "data": {"values": list(ticks.values())},
        "mark": {"type": "text", "align": "left", "dx": 4, "dy": -8, "fontSize": 11},
        "encoding": {"x": x, "y": y, "text": {"field": "value"}},
    }
    description = f"parallel coordinates of {len(report.rows)} experiments: {', '.join(axes)}"
    return chart(description, points, layer=[lines, labels])


def _points(report: Report, axes: dict[str, list[Any]]) -> Rows:
    """Return the point of each result on each axis.

    Args:
        report: the comparison.
        axes: name of an axis -> the value of each result.
    """
    places = {name: _positions(values) for name, values in axes.items()}
    return [
        {
            "name": row.name,
            "group": _label(report, row),
            "axis": name,
            "place": places[name][i],
            "value": _text(values[i]),
        }
        for i, row in enumerate(report.rows)
        for name, values in axes.items()
    ]


def _tick(point: dict[str, Any]) -> dict[str, Any]:
    return {key: point[key] for key in ("axis", "place", "value")}


def _is_labelled(point: dict[str, Any], axes: dict[str, list[Any]]) -> bool:
    """Return whether a value is written beside its axis: each of a few, of many only the ends."""
    return point["place"] in {0, 1} or len(set(map(_text, axes[point["axis"]]))) <= 5


def _positions(values: list[Any]) -> list[float]:
    """Return the place of each value on its axis, 0-1."""
    if all(isinstance(value, Real) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        return [(value - low) / (high - low) if high > low else 0.5 for value in values]
    names = sorted(set(map(_text, values)))
    return [names.index(_text(value)) / max(1, len(names) - 1) for value in values]


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value_text(value)
