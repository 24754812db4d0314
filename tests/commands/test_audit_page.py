"""Open the page of an audit in a real browser. Needs Chromium and the packages of the group `browser`."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browsers import barriers, open_page
from made_audit import make_audited
from reprocnn.artifacts.corrections import EXCLUDE_COLUMNS, RELABEL_COLUMNS, read_corrections
from reprocnn.commands.audit.audit import audit
from reprocnn.commands.audit.page import PAGE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture
def audited(here: Path) -> Path:
    make_audited(here)
    audit(as_json=False, train=False, limit=5)
    return PAGE.resolve()


def _box(page: "Page", number: int, label: str = "") -> str:
    """Return the selector of the box of an image: to leave it out, or to give it another label."""
    wanted = f'[data-label="{label}"]' if label else ":not([data-label])"
    return f'input[data-file*=">{number},"]{wanted}'


def _lines(page: "Page", name: str) -> list[list[str]]:
    return list(csv.reader(page.locator(f"#{name}").input_value().splitlines()))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_an_audit_is_shown_without_errors_requests_or_serious_barriers(
    browser: "Browser", audited: Path, problems: list[str], scheme: str, width: int
) -> None:
    settings = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    page = open_page(browser, audited, 0, problems, **settings)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("img").evaluate_all("images => images.every(image => image.naturalWidth === 4)")
    assert barriers(page) == []
    assert problems == []


def test_ticked_images_become_lines_that_download_reads(
    browser: "Browser", audited: Path, problems: list[str], tmp_path: Path
) -> None:
    page = open_page(browser, audited, 0, problems)
    page.locator(_box(page, 4)).check()
    page.locator(_box(page, 25)).focus()
    page.keyboard.press("Space")
    page.locator(_box(page, 20)).check()
    page.locator(_box(page, 20, "blue")).check()  # unticks the other box of this image
    assert _lines(page, "exclude") == [
        ["test/green/<b>25,.png", "test", "conflict"],
        ["train/green/<b>4,.png", "", "duplicate"],
    ]
    assert _lines(page, "relabel") == [["train/red/<b>20,.png", "blue", "", "label"]]
    for name, columns in (("exclude", EXCLUDE_COLUMNS), ("relabel", RELABEL_COLUMNS)):
        text = f"{','.join(columns)}\n{page.locator(f'#{name}').input_value()}\n"
        (tmp_path / f"{name}.csv").write_text(text)
    read = read_corrections(tmp_path / "exclude.csv", tmp_path / "relabel.csv")
    assert [(file, line.label, line.in_test) for file, line in read.items()] == [
        ("test/green/<b>25,.png", None, True),
        ("train/green/<b>4,.png", None, False),
        ("train/red/<b>20,.png", "blue", False),
    ]
    page.locator("[data-copy=exclude]").click()
    assert page.locator("#copied").inner_text() == "2 lines copied"
    page.locator(_box(page, 4)).uncheck()
    assert _lines(page, "exclude") == [["test/green/<b>25,.png", "test", "conflict"]]
    assert problems == []
