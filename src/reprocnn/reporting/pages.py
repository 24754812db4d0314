"""Fill the templates of the HTML pages, each one file that needs no network."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reprocnn.reporting.charts import script as chart_script

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, charts: dict[str, Any], **values: Any) -> str:
    """Fill a template of a page, and embed the script of its charts if it has any. The same values give the same text.

    Args:
        template: name of the file.
        charts: chart name -> its Vega-Lite specification.
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
    script = Markup(chart_script().replace("</script", "<\\/script")) if charts else ""
    return environment.get_template(template).render(script=script, charts=charts, **values)


def _embedded(value: Any) -> Markup:
    """Return a value as JSON that can stand in a `script` element of HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))
