"""Open the pages of the server in a real browser. Needs Chromium and the packages of `browser` and `serve`."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from browsers import barriers
from checkouts import Checkout
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.artifacts.split import RAW_TEST
from reprocnn.inference.classifier import Classifier
from servers import Server, as_base64, png, serving
from tiny_model import tiny_info, write_tiny_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.serve]
TOKEN = "correct horse battery"
LONG = "a name as long as a sentence, in a narrow column"
NAMES = {"red <b>rot</b>": (255, 0, 0), "green": (0, 255, 0), LONG: (0, 0, 255)}
RED, BLUE = png((255, 0, 0)), png((0, 0, 255))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "model.onnx", NAMES, tiny_info(NAMES))


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    with serving(model.parent, "--model", str(model)) as running:
        yield running


def _open(browser: "Browser", server: Server, problems: list[str], path: str = "/", **settings: Any) -> "Page":
    """Open a page of the server; `problems` gets what it writes to the console, and foreign addresses that it asks."""
    page = browser.new_context(**settings).new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    own = (server.address, "data:", f"blob:{server.address}")
    page.on("request", lambda r: None if r.url.startswith(own) else problems.append(r.url))
    page.goto(f"{server.address}{path}")
    return page


DROP = """([event, content, type]) => {
  const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], "a.png", { type }));
  const name = event === "paste" ? "clipboardData" : "dataTransfer";
  const kind = event === "paste" ? ClipboardEvent : DragEvent;
  document.body.dispatchEvent(new kind(event, { [name]: files, bubbles: true, cancelable: true }));
}"""


def _give(page: "Page", event: str, content: bytes, kind: str = "image/png") -> None:
    """Drop or paste a file."""
    page.evaluate(DROP, [event, as_base64(content), kind])


def _bars(page: "Page") -> list[tuple[str, float]]:
    rows = page.locator(".bars li").all()
    return [(row.locator(".name").inner_text(), float(row.locator("meter").evaluate("m => m.value"))) for row in rows]


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_that_is_dropped_or_pasted_is_answered_with_bars(
    browser: "Browser", server: Server, problems: list[str], event: str
) -> None:
    page = _open(browser, server, problems)
    _give(page, event, RED)
    page.locator(".answer").wait_for()
    assert page.locator(".answer h2").inner_text() == "red <b>rot</b>"
    assert _bars(page)[0] == ("red <b>rot</b>", pytest.approx(0.988, abs=1e-3))
    assert len(_bars(page)) == 3
    assert page.locator("#status").inner_text() == "red <b>rot</b>: 98.8%"
    assert page.locator(".answer img").evaluate("image => image.naturalWidth") == 6
    assert "linear on colours" in page.locator("#model").inner_text()
    assert problems == []


def test_a_digit_that_is_dropped_gets_the_answer_of_the_trained_model(
    browser: "Browser", finished: Checkout, problems: list[str], tmp_path: Path
) -> None:
    pixels = np.load(finished.folder / RAW_TEST / "images.npy")[:1]
    classifier = Classifier(finished.folder / ONNX_MODEL)
    digit = BytesIO()
    Image.fromarray(pixels[0, ..., 0]).save(digit, "PNG")
    with serving(tmp_path, "--model", str(finished.folder / ONNX_MODEL)) as server:
        page = _open(browser, server, problems)
        _give(page, "drop", digit.getvalue())
        page.locator(".answer").wait_for()
        expected = classifier.probabilities(pixels)[0]
        assert page.locator(".answer h2").inner_text() == classifier.class_names[expected.argmax()]
        assert [value for _, value in _bars(page)] == pytest.approx(sorted(expected, reverse=True)[:5], abs=1e-5)
    assert problems == []


def test_several_pictures_are_chosen_with_the_keyboard(browser: "Browser", server: Server, problems: list[str]) -> None:
    page = _open(browser, server, problems)
    files = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": content} for n, content in enumerate([BLUE, RED])]
    # Before the page loads: Playwright does not wait until Chromium hands it the choosers, and Enter may come first.
    page.on("filechooser", lambda chooser: chooser.set_files(files))
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    page.keyboard.press("Enter")
    page.locator(".answer").nth(1).wait_for()
    assert page.locator(".answer h2").all_inner_texts() == [LONG, "red <b>rot</b>"]
    assert page.locator(".answer img").evaluate_all("images => images.map(i => i.alt)") == ["0.png", "1.png"]
    assert problems == []


def test_what_is_no_picture_is_said_with_its_reason(browser: "Browser", server: Server, problems: list[str]) -> None:
    page = _open(browser, server, problems)
    _give(page, "drop", b"text", "text/plain")
    assert page.locator("#status.problem").inner_text() == "That is not a picture."
    _give(page, "drop", b"text")
    page.get_by_text("image 0 (a.png): not an image that Pillow can read").wait_for()
    assert page.locator("#status.problem").count() == 1
    assert [text for text in problems if "422" not in text] == []  # the browser itself notes the status


def test_the_page_asks_for_the_token_and_remembers_it_in_its_tab(
    browser: "Browser", model: Path, problems: list[str]
) -> None:
    with serving(model.parent, "--model", str(model), REPROCNN_SERVE_TOKEN=TOKEN) as server:
        page = _open(browser, server, problems)
        assert not page.locator("#token").is_visible()
        _give(page, "drop", RED)
        for token, said in (("wrong", "That is not the token."), (TOKEN, "red <b>rot</b>: 98.8%")):
            page.locator("#token").wait_for()
            assert page.evaluate("document.activeElement.id") == "token"
            page.keyboard.type(token)
            page.keyboard.press("Enter")
            page.get_by_text(said).first.wait_for()
        assert not page.locator("#token").is_visible()
        page.reload()
        _give(page, "paste", RED)
        page.locator(".answer").wait_for()
        assert TOKEN not in page.content()
    assert [text for text in problems if "401" not in text] == []


def test_a_server_that_is_gone_is_said(browser: "Browser", model: Path, problems: list[str]) -> None:
    with serving(model.parent, "--model", str(model)) as server:
        page = _open(browser, server, problems)
    _give(page, "drop", RED)
    page.get_by_text("The server does not answer.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_has_no_serious_barriers_and_fits(
    browser: "Browser", server: Server, problems: list[str], scheme: str, width: int
) -> None:
    phone = {"has_touch": True, "is_mobile": True} if width < 600 else {}
    settings = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, **phone}
    page = _open(browser, server, problems, **settings)
    assert barriers(page) == []
    assert page.locator("#camera").is_visible() == bool(phone)
    assert page.locator("#camera").get_attribute("capture") == "environment"
    _give(page, "drop", BLUE)
    page.locator(".answer").wait_for()
    page.evaluate("document.getElementById('unlock').hidden = false")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert barriers(page) == []
    assert problems == []


def test_the_description_of_the_routes_needs_nothing_from_elsewhere(
    browser: "Browser", server: Server, problems: list[str]
) -> None:
    page = _open(browser, server, problems, "/docs")
    page.get_by_text("/invocations").first.wait_for()
    assert problems == []


def test_a_browser_refuses_scripts_that_are_not_the_pages_own(
    browser: "Browser", server: Server, problems: list[str]
) -> None:
    page = _open(browser, server, problems)
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.bad = 1'}))")
    assert page.evaluate("window.bad") is None
    assert "Content Security Policy" in problems[0]
