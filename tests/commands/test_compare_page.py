"""Open the comparison in a real browser. Needs Chromium and the packages of the group `browser`."""

from typing import TYPE_CHECKING

import pytest

from browsers import barriers, open_page
from made_results import Repository
from reprocnn import cli
from reprocnn.commands.compare_page import PAGE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

LINES = '[data-chart="Validation accuracy"] svg path[aria-roledescription="line mark"]'


def _compare(*names: str) -> None:
    cli.main(["compare", *names, "--html"])


@pytest.mark.parametrize("names", [(), ("mlp-0", "vgg-0"), ("HEAD",)], ids=["several", "two", "one"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_any_comparison_is_drawn_without_errors_requests_or_serious_barriers(
    browser: "Browser", seeds: Repository, problems: list[str], names: tuple[str, ...], scheme: str, width: int
) -> None:
    _compare(*names)
    charts = 1 if len(names) == 1 else 2
    settings = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    page = open_page(browser, PAGE.resolve(), charts, problems, **settings)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert _broken(page) == []
    assert barriers(page) == []
    assert problems == []


def _broken(page: "Page") -> list[str]:
    """Return numbers and headings of which a word is broken over several lines."""
    return page.locator("th, td.right").evaluate_all(
        """cells => cells.flatMap(cell => [...cell.childNodes].flatMap(part => {
          const range = document.createRange();
          range.selectNodeContents(part);
          const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top))).size;
          const words = cell.localName === "td" ? 1 : part.textContent.split(/[\\s-]+/).length;
          return lines > words ? [part.textContent] : [];
        }))"""
    )


def test_every_column_of_a_wide_table_is_reached_by_keyboard(
    browser: "Browser", seeds: Repository, problems: list[str]
) -> None:
    _compare()
    page = open_page(browser, PAGE.resolve(), 2, problems, viewport={"width": 390, "height": 800})
    table = page.locator(".scroll").first
    page.keyboard.press("Tab")
    assert table.evaluate("area => area === document.activeElement")
    last = table.locator("thead th").last
    assert last.bounding_box()["x"] > 390
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "() => { const a = document.activeElement; return a.scrollLeft + a.clientWidth >= a.scrollWidth - 1 }"
    )
    assert problems == []


def test_a_group_is_chosen_by_keyboard(browser: "Browser", seeds: Repository, problems: list[str]) -> None:
    _compare()
    page = open_page(browser, PAGE.resolve(), 2, problems)
    page.locator("#group").focus()
    for key, faded in (("ArrowDown", 3), ("ArrowDown", 4), ("Home", 0)):  # HEAD and three mlp, three vgg, all
        page.keyboard.press(key)
        for lines in (
            LINES,
            LINES.replace("Validation accuracy", "Parameters and accuracies, one line per experiment"),
        ):
            page.wait_for_function(f"document.querySelectorAll('{lines}[opacity=\"0.1\"]').length === {faded}")
            assert page.locator(lines).count() == 7
    assert problems == []


def test_a_name_in_the_legend_shows_its_lines_alone(browser: "Browser", seeds: Repository, problems: list[str]) -> None:
    _compare()
    page = open_page(browser, PAGE.resolve(), 2, problems)
    opacities = "lines => lines.map(line => Number(line.getAttribute('opacity') ?? 1))"
    assert page.locator(LINES).evaluate_all(opacities) == [0.8] * 7
    name = page.locator('[data-chart="Validation accuracy"] svg .role-legend-label text', has_text="model=vgg")
    name.click()
    page.wait_for_function(f"document.querySelector('{LINES}').getAttribute('opacity') !== '0.8'")
    assert sorted(page.locator(LINES).evaluate_all(opacities)) == [0.1] * 4 + [0.8] * 3
    assert problems == []


def test_a_chart_shows_its_values_on_hover(browser: "Browser", seeds: Repository, problems: list[str]) -> None:
    _compare("mlp-0", "vgg-0")
    page = open_page(browser, PAGE.resolve(), 2, problems)
    page.locator('[data-chart="Validation accuracy"] svg path[aria-roledescription="point"]').first.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "mlp-0" in page.locator("#vg-tooltip-element").inner_text()
    assert problems == []
