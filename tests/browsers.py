"""Open a page in Chromium and say what is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def open_page(browser: "Browser", file: Path, charts: int, problems: list[str], **settings: Any) -> "Page":
    """Open a file and wait for its charts.

    Args:
        browser: Chromium.
        file: the page.
        charts: how many charts it draws.
        problems: gets what the page writes to the console, and what it asks the network for.
        **settings: of the browser's context.
    """
    page = browser.new_context(**settings).new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: problems.append(r.url) if not r.url.startswith(("data:", file.as_uri())) else None)
    page.goto(file.as_uri())
    page.wait_for_function(f"document.querySelectorAll('[data-chart] svg').length === {charts}")
    return page


def barriers(page: "Page") -> list[tuple[str, str]]:
    """Return what axe-core finds serious or critical: the rule, and the first element that breaks it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]
