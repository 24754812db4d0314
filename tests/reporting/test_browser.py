"""Open the report in a real browser. Needs Chromium and the packages of the group `browser`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browsers import barriers, open_page
from made_content import made_content
from reprocnn.reporting import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

COPIES = [("<i>train#0", "made#1", "duplicate", 1.0), ("made#3", "made#4", "near_duplicate", 0.97)]
PAGES: dict[str, dict[str, Any]] = {
    "three classes": {"n": 200, "copies": COPIES},
    "100 classes": {"names": [f"class {i}" for i in range(100)], "n": 2000, "side": 32, "channels": 3, "right": 0.5},
    "one epoch": {"epochs": 1, "n": 60, "right": 0.0},
}


def _open(
    browser: "Browser", folder: Path, problems: list[str], kind: str = "three classes", **settings: Any
) -> "Page":
    file = folder / "report.html"
    file.write_text(report.html(made_content(**PAGES[kind])))
    return open_page(browser, file, 7, problems, **settings)


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_any_report_is_drawn_without_errors_requests_or_serious_barriers(
    browser: "Browser", tmp_path: Path, problems: list[str], kind: str, scheme: str, width: int
) -> None:
    page = _open(browser, tmp_path, problems, kind, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert barriers(page) == []
    assert problems == []


def test_copies_and_labels_are_reached_from_the_top_and_have_their_pictures(
    browser: "Browser", tmp_path: Path, problems: list[str]
) -> None:
    page = _open(browser, tmp_path, problems)
    page.get_by_role("link", name="Copies and labels").click()
    section = page.locator("#findings")
    assert section.locator("li").count() == 2
    assert section.locator("li figure").count() == 4
    widths = section.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(widths) > 20
    assert set(widths) == {8}
    assert problems == []


def test_a_cell_shows_its_images_by_mouse_and_by_keyboard(
    browser: "Browser", tmp_path: Path, problems: list[str]
) -> None:
    page = _open(browser, tmp_path, problems)
    cell = page.locator("#matrix button:not(.hit)").first
    cell.click()
    count = int(cell.inner_text())
    assert page.locator("#cell img").count() == min(count, 8)
    assert page.locator("#cell .hint").inner_text().startswith(f"{count} image")
    assert cell.get_attribute("aria-pressed") == "true"
    assert page.locator("#cell img").first.evaluate("image => image.complete && image.naturalWidth") == 8
    page.locator("#matrix button.hit").first.focus()
    page.keyboard.press("Enter")
    assert "recognised" in page.locator("#cell h3").inner_text()
    assert problems == []


def test_the_matrix_changes_its_order_and_shows_rates(browser: "Browser", tmp_path: Path, problems: list[str]) -> None:
    page = _open(browser, tmp_path, problems)
    page.select_option("#values", "rates")
    assert all(text.endswith("%") for text in page.locator("#matrix button").all_inner_texts())
    before = page.locator("#matrix tbody th").all_inner_texts()
    page.select_option("#order", "similarity")
    assert sorted(page.locator("#matrix tbody th").all_inner_texts()) == sorted(before)
    assert problems == []


def test_the_table_of_classes_is_sorted_by_a_click(browser: "Browser", tmp_path: Path, problems: list[str]) -> None:
    page = _open(browser, tmp_path, problems, "100 classes")
    button = page.locator(".sortable thead button").nth(4)
    shown = ".sortable tbody tr td:nth-child(5)"
    for order in ("ascending", "descending"):
        button.click()
        values = [float(v) for v in page.locator(shown).evaluate_all("cells => cells.map(c => c.dataset.value)")]
        assert values == sorted(values, reverse=order == "descending")
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == order
    assert page.locator(".sortable img").first.evaluate("image => image.naturalWidth") == 32


def test_a_chart_shows_its_values_on_hover(browser: "Browser", tmp_path: Path, problems: list[str]) -> None:
    page = _open(browser, tmp_path, problems)
    page.locator('[data-chart="accuracy"] svg path[aria-roledescription="point"]').first.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "accuracy" in page.locator("#vg-tooltip-element").inner_text()
    assert problems == []
