"""Pages of the server, each with a policy that lets a browser run the page's own scripts and nothing else."""

import base64
import hashlib
import re
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from reprocnn import reporting

_TEMPLATES = Path(__file__).parent / "templates"
_STYLES = Path(reporting.__file__).parent / "templates"  # not `reporting.pages`, which imports pandas

_POLICY = (
    "default-src 'none'; script-src 'self' {scripts}; style-src {styles}; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_INLINE = r"<{tag}(?![^>]*\bsrc=)[^>]*>(.*?)</{tag}>"


def add_pages(app: FastAPI) -> None:
    """Add the page where a person asks, and the description of the routes."""
    static = app.url_path_for("static-offline-docs", path="")
    described = get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title="reprocnn: routes",
        swagger_js_url=f"{static}swagger-ui-bundle.js",
        swagger_css_url=f"{static}swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    docs = bytes(described.body).decode()
    asking = Environment(loader=FileSystemLoader([_TEMPLATES, _STYLES])).get_template("ask.html").render()

    @app.get("/", include_in_schema=False)
    async def ask() -> HTMLResponse:
        return _page(asking, _hashes("style", asking))

    @app.get("/docs", include_in_schema=False)
    async def describe() -> HTMLResponse:
        return _page(docs, "'self' 'unsafe-inline'")  # its script writes styles into the page


def _page(html: str, styles: str) -> HTMLResponse:
    policy = _POLICY.format(scripts=_hashes("script", html), styles=styles)
    return HTMLResponse(html, headers={"Content-Security-Policy": policy})


def _hashes(tag: str, html: str) -> str:
    """Return the hashes of the scripts or styles that a page contains."""
    found = re.findall(_INLINE.format(tag=tag), html, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found)
