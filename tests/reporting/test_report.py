import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from made_content import made_content
from reprocnn.evaluation import confidence
from reprocnn.reporting import report
from reprocnn.reporting.model_card import markdown


def _embedded(page: str, name: str) -> Any:
    """Return the data that the page embeds for its scripts."""
    return json.loads(re.findall(rf'id="{name}">(.*?)</script>', page)[0])


class _Text(HTMLParser):
    """Collects the text and the addresses of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_one_file_and_the_same_each_time() -> None:
    page = report.html(made_content())
    assert page == report.html(made_content())
    read = _Text(page)
    assert read.addresses
    assert all(address.startswith(("data:", "#")) for address in read.addresses)
    assert "@import" not in page
    assert "url(" not in page.split("</style>")[0]


def test_the_report_shows_class_names_as_they_are() -> None:
    page = report.html(made_content())
    assert "b" not in _Text(page).tags
    for name in ("</script><b>", "قطة", "a|b & c"):
        assert name in _Text(page).text
    assert _embedded(page, "matrix-data")["names"] == ["</script><b>", "قطة", "a|b & c"]


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 1, "n": 1, "names": ["a", "b"]},
        {"right": 0.0, "names": ["a", "b"]},
        {"right": 1.0},
        {"epochs": 2000},
        {"robustness": False},
        {"names": [f"class {i}" for i in range(100)], "n": 50},  # half of the classes have no test images
    ],
)
def test_any_result_has_a_report_and_a_card_without_nan(settings: dict[str, Any]) -> None:
    content = made_content(**settings)
    for text in (_Text(report.html(content).split('<script type="module">')[0]).text, markdown(content)):
        assert not re.search(r"\bnan\b|undefined|None\b(?!:)", text.replace("None: this", ""))
    assert len(_embedded(report.html(content), "charts-data")["learning rate"]["data"]["values"]) <= 502


def test_a_hundred_classes_of_large_colour_images_give_at_most_3_megabytes() -> None:
    content = made_content([f"class {i}" for i in range(100)], n=4000, side=64, channels=3, right=0.5)
    page = report.html(content)
    assert len(page.encode()) < 3_000_000
    images = _embedded(page, "matrix-data")["images"]
    shown = sum(map(len, images.values()))
    assert max(map(len, images.values())) <= 8
    assert shown > 100
    assert f"The page has {shown}" in page
    assert f"{4000 - shown:,} are left out" in page


def test_a_page_with_all_test_images_says_so() -> None:
    assert "The page has all 12 test images." in _words(report.html(made_content(n=12)))


def test_the_images_of_a_cell_are_its_most_confident() -> None:
    content = made_content(["a", "b"], n=200)
    images = _embedded(report.html(content), "matrix-data")["images"]
    rows = content.examples.rows
    cell = rows[(rows["actual"] == "a") & (rows["predicted"] == "b")]
    assert [image[0] for image in images["0,1"]] == cell["file"].tolist()[:8]


def test_the_charts_have_the_numbers_and_a_description() -> None:
    content = made_content(epochs=3)
    charts = _embedded(report.html(content), "charts-data")
    rows = charts["accuracy"]["data"]["values"]
    assert [row["accuracy"] for row in rows if row["split"] == "validation"] == pytest.approx([0.6, 0.7, 0.8])
    assert "best epoch 3" in charts["accuracy"]["description"]
    balance = charts["images per class"]["data"]["values"]
    assert sum(row["images"] for row in balance) == 60 + 60  # training with validation, and test


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"threshold_99": None}, "No threshold of the confidence gave an accuracy of 99 %"),
        ({"threshold_99": 0.5}, "From a calibrated confidence of 0.500 on, 99 % of the validation images were right."),
    ],
)
def test_the_report_says_what_a_threshold_gives(changes: dict[str, Any], sentence: str) -> None:
    content = made_content()
    measures = confidence.scores(*_certain(60), changes["threshold_99"], 0.5)
    content = replace(content, confidence=measures, card=replace(content.card, **changes))
    assert sentence in " ".join(_Text(report.html(content)).text.split())


def test_the_report_says_when_the_sets_leave_out_no_class() -> None:
    content = made_content()
    for quantile, expected in ((1.0, True), (0.5, False)):
        page = _words(report.html(replace(content, card=replace(content.card, conformal_quantile_90=quantile))))
        assert ("No class can be left out" in page) == expected
        assert ("classes per set on average" in page) != expected


def _certain(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Make probabilities, before and after temperature scaling, and labels."""
    probabilities = np.tile([0.9, 0.1], (n, 1))
    return probabilities, probabilities, np.zeros(n, np.int64)


def test_the_card_says_the_same_in_words() -> None:
    content = made_content()
    text = markdown(content)
    assert f"**{100 * content.scores.accuracy:.2f} %**" in text
    assert "`epochs: 3`, `augment: flip_shift`" in text
    assert r"a\|b & c" in text
    assert "3 of 3 classes have fewer than 30 test images" in text


def test_the_card_names_imbalance() -> None:
    content = made_content()
    assert "times as many" not in markdown(content)
    counts = {**content.split_counts, "train": np.array([90, 30, 45])}
    assert "The largest class has 3.0 times as many" in markdown(replace(content, split_counts=counts))


def test_a_history_longer_than_the_chart_keeps_its_last_epoch() -> None:
    charts = _embedded(report.html(made_content(epochs=1999)), "charts-data")
    assert charts["learning rate"]["data"]["values"][-1]["epoch"] == 1999


COPIES = [
    ("<i>train#0", "made#1", "near_duplicate", 0.97),
    ("<i>train#1", "made#1", "duplicate", 1.0),
    ("made#3", "made#4", "near_duplicate", 0.985),
    ("<i>train#5", "<i>train#6", "duplicate", 1.0),
]


def _section(page: str) -> str:
    """Return the HTML of the section about copies and labels."""
    return page.split('<section id="findings"')[1].split("</section>")[0]


def _words(page: str) -> str:
    return " ".join(_Text(page).text.split())


def test_the_report_counts_copies_and_shows_those_with_different_labels() -> None:
    found = _section(report.html(made_content(["a", "b & <b>", "c"], n=24, copies=COPIES, right=1.0)))
    text = _words(found)
    assert "other: 1 within training, 1 within test, 2 across training and test; 2 with equal pixels, 3 with" in text
    cards = [_words(card) for card in found.split("<li>")[1:]]
    assert cards[0] == "<i>train#5training, c <i>train#6training, a equal pixels"
    assert cards[1] == "made#3test, a made#4test, b & <b> similarity 0.98"
    assert cards[2].startswith("<i>train#0training, a made#1test, b & <b> similarity 0.97")
    assert found.count("<img") == 6
    assert {"i", "b"}.isdisjoint(_Text(found).tags)


def test_the_first_conflicts_are_shown_and_the_others_counted() -> None:
    copies = [(f"<i>train#{i}", f"<i>train#{i + 1}", "near_duplicate", 0.96) for i in range(30)]
    found = _section(report.html(made_content(copies=copies, right=1.0)))
    assert found.count("<li>") == 12
    assert "The first 12, the most likely first; 18 more are left out." in _words(found)


def test_a_test_image_that_evaluate_did_not_keep_has_no_picture() -> None:
    content = made_content(["a", "b"], n=400, copies=[("<i>train#0", f"made#{i}", "duplicate", 1.0) for i in (399, 7)])
    kept = set(content.examples.rows["file"])
    expected = 2 + len(kept & {"made#399", "made#7"})
    found = _section(report.html(content))
    assert found.split("<h3>Labels")[0].count("<img") == expected
    assert found.count("not in this page") == 4 - expected
    assert expected < 4


def test_the_report_shows_labels_that_look_wrong_to_the_model() -> None:
    content = made_content(n=300)
    n = len(content.label_errors.rows)
    assert n > 20
    found = _section(report.html(content))
    assert f"{n} labels of test images look wrong to the model" in _words(found)
    assert f"The first 20, the most likely first; {n - 20} more are left out." in _words(found)
    first = content.label_errors.rows.iloc[0]
    shown = f"{first['file']}: labelled {first['label']}; the model says {first['suggested']} ("
    assert shown in _words(found)
    assert found.count("<img") == 20
    assert "b" not in _Text(found).tags


def test_without_findings_the_report_says_so_in_two_sentences() -> None:
    found = _section(report.html(made_content(right=1.0)))
    assert "No image is a copy of another one. No label of a test image looks wrong to the model." in _words(found)
    assert {"img", "li", "h3"}.isdisjoint(_Text(found).tags)
