"""Build the report: one self-contained HTML file that needs no network."""

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ddd }
td { text-align: right; font-variant-numeric: tabular-nums } td:first-child, th:first-child { text-align: left }
td, th { unicode-bidi: plaintext; white-space: pre-wrap }
img { max-width: 100%; height: auto }
"""


def html(heading: str, tables: Mapping[str, pd.DataFrame | dict[str, Any]], pictures: Mapping[str, bytes]) -> str:
    """Return the report as HTML.

    Args:
        heading: the title of the report.
        tables: heading of a table -> its rows, or a dict of names and values.
        pictures: name -> bytes of a PNG, which the page embeds.
    """
    body = [f"<h1>{escape(heading)}</h1>"]
    for name, content in pictures.items():
        picture, shown = base64.b64encode(content).decode(), escape(name.replace("_", " "))
        body.append(f'<h2>{shown}</h2><img alt="{shown}" src="data:image/png;base64,{picture}">')
    for name, values in tables.items():
        table = values if isinstance(values, pd.DataFrame) else _two_columns(values)
        rows = table.to_html(index=False, border=0, na_rep="–", float_format="{:.4f}".format)
        body.append(f"<h2>{escape(name)}</h2>{rows}")
    title = escape(heading)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{chr(10).join(body)}</body></html>\n'


def with_labels(scores: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Add a column with the labels in the figures, unless all labels are equal to the class names.

    Args:
        scores: one row per class, with its name in the column `class`.
        labels: class name -> its label in the figures.
    """
    shown = scores["class"].map(labels)
    if (shown == scores["class"]).all():
        return scores
    table = scores.copy()
    table.insert(1, "in the figures", shown)
    return table


def _two_columns(values: dict[str, Any]) -> pd.DataFrame:
    rows = [(name, f"{value:.4f}" if isinstance(value, float) else str(value)) for name, value in values.items()]
    return pd.DataFrame(rows, columns=["", "value"])
