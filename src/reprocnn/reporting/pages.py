"""Fill the templates of the HTML pages, each one file that needs no network."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reprocnn.reporting import charts

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Fill a template of a page with charts, whose script it embeds. The same values give the same text.

    Args:
        template: name of the file.
        values: what the template names, escaped where it shows them.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = _embedded
    script = Markup(charts.script().replace("</script", "<\\/script"))
    return environment.get_template(template).render(script=script, **values)


def _embedded(value: Any) -> Markup:
    """Return a value as JSON that can stand in a `script` element of HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
