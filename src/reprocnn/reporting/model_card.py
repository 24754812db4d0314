"""Describe a model in Markdown, for a model registry: intended use, data, measures, limits.

The headings follow M. Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

import re

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reprocnn.reporting import words
from reprocnn.reporting.pages import TEMPLATES
from reprocnn.reporting.report import Content

_FEW = 30


def markdown(content: Content) -> str:
    """Return the model card as Markdown. The same content gives the same text."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["plain"] = _plain
    names = list(content.card.class_names)
    rows = content.per_class
    train = content.split_counts["train"]
    return environment.get_template("model_card.md").render(
        content=content,
        names=names,
        mistakes=words.mistakes(content.counts, names),
        fit=words.fit(content.history, len(names)),
        weakest=rows[rows["n"] > 0].sort_values("f1", kind="stable").head(3).to_dict("records"),
        few=rows.loc[rows["n"] < _FEW, "class"].tolist(),
        imbalance=train.max() / max(train.min(), 1),
    )


def _plain(text: str) -> str:
    """Escape the characters that have a meaning in Markdown, and join lines."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
