"""List registered models; test_promote.py registers them."""

import json
from datetime import datetime

import pytest

from reprocnn import cli
from reprocnn.ledger import store

TAGS = {
    "promoted.name": "wide",
    "git.commit": "abcdef1234",
    "dvc.exp.name": "wide",
    "metrics.validation_accuracy": "0.9861111",
    "metrics.test_accuracy": "0.975",
    "metrics.test_accuracy_low": "0.95",
    "metrics.test_accuracy_high": "0.98",
    "metrics.test_n": "360",
}


@pytest.fixture
def registered(here: object, empty_store: None) -> None:
    """Register versions of two models, one of them without tags, as the UI does."""
    client = store.connect()[0]
    for name in ("digits", "other"):
        client.create_registered_model(name)
    client.create_model_version("digits", "file:///one", tags=TAGS)
    client.create_model_version("other", "file:///two")
    client.create_model_version(
        "digits", "file:///three", tags=TAGS | {"git.dirty": "true", "dvc.exp.name": "none", "promoted.forced": "why"}
    )
    for alias in ("champion", "best"):
        client.set_registered_model_alias("digits", alias, "1")


def test_versions_are_listed_newest_first_with_where_they_come_from(
    registered: None, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["registry"])
    title, _, _, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith("Registered models in sqlite:///")
    cells = [row.split() for row in rows]
    numbers = ["98.61%", "97.50%", "95.00%", "to", "98.00%", "360"]
    assert [row[:3] for row in cells[:3]] == [["digits", "2", "-"], ["other", "1", "-"], ["digits", "1", "best,"]]
    assert cells[0][5:] == ["wide", "abcdef1", "and", "changes", *numbers]
    assert cells[1][5:] == ["-"] * 6
    assert cells[2][3:] == ["champion", *cells[2][4:6], "wide", "abcdef1", *numbers]
    assert rows[3] == "digits version 2 was promoted with --force: why"


def test_json_has_all_tags_and_null_for_what_is_unknown(registered: None, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["registry", "--json"])
    forced, other, first = json.loads(capsys.readouterr().out)
    assert (first["name"], first["version"], first["aliases"]) == ("digits", 1, ["best", "champion"])
    assert (first["experiment"], first["commit"], first["forced"]) == ("wide", "abcdef1234", None)
    assert (forced["experiment"], forced["forced"]) == (None, "why")
    assert first["metrics"]["test_n"] == 360
    assert first["tags"] == TAGS
    assert datetime.fromisoformat(first["registered"]).utcoffset() is not None
    assert (other["result"], other["commit"], other["run_id"], other["metrics"]) == (None, None, None, {})


def test_one_model_can_be_listed(registered: None, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["registry", "digits", "--json"])
    assert [one["version"] for one in json.loads(capsys.readouterr().out)] == [2, 1]
    with pytest.raises(SystemExit, match=r"has no registered model 'nothing'; it has: digits, other\n  fix: name one"):
        cli.main(["registry", "nothing"])


def test_an_empty_registry_says_how_to_fill_it(
    here: object, empty_store: None, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["registry"])
    assert "no registered models in sqlite:///" in capsys.readouterr().out
    cli.main(["registry", "--json"])
    assert json.loads(capsys.readouterr().out) == []
