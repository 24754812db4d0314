import re
from html import unescape

import numpy as np
import pytest

from made_content import made_content
from reprocnn.reporting import attention, report


@pytest.mark.parametrize("channels", [1, 3])
def test_an_overlay_is_lighter_where_the_heat_is(channels: int) -> None:
    image = np.full((4, 4, channels), 100, np.uint8)
    heat = np.array([[0, 80, 160, 255]] * 4, np.uint8)
    drawn = attention.overlay(image, heat)
    assert (drawn.shape, drawn.dtype) == ((4, 4, 3), np.uint8)
    lightness = drawn[0] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 10).all()


def test_a_mistake_is_one_picture_with_two_maps() -> None:
    content = made_content(right=0.0)
    found = attention.explained(content.explanations)
    rows = content.explanations.rows
    wrong = rows[rows["kind"] == "mistake"]
    assert [item["index"] for item in found["Mistakes"]] == wrong["index"].unique().tolist()
    assert all(len(item["maps"]) == 2 for item in found["Mistakes"])
    assert [name for name, _, _ in found["Mistakes"][0]["maps"]] == wrong["explained"].tolist()[:2]


def test_the_report_names_the_classes_of_the_maps() -> None:
    content = made_content(["cat", "dog"], right=0.0)
    page = unescape(report.html(content))
    assert re.search(r"<bdi>made#\d+</bdi>: <bdi>(cat|dog)</bdi> taken for <bdi>(cat|dog)</bdi>\.\nMaps of", page)
