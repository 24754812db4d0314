"""Find a version by its URI, and its files."""

from pathlib import Path

import pytest

from reprocnn.errors import UserError
from reprocnn.ledger import registry, store


@pytest.fixture
def model(here: Path, empty_store: None) -> Path:
    """Register two versions of a model; return the folder of the second, which the alias `best` names."""
    client = store.connect()[0]
    client.create_registered_model("digits")
    for name in ("one", "two"):
        (here / name).mkdir()
        (here / name / "MLmodel").write_text(name)
        client.create_model_version("digits", (here / name).as_uri(), tags={"metrics.test_n": "3", "kind": name})
    client.set_registered_model_alias("digits", "best", "2")
    return here / "two"


def test_a_uri_gives_the_version_and_its_files(model: Path) -> None:
    version, folder = registry.fetch("models:/digits@best")
    assert (version.name, version.number, version.label) == ("digits", 2, "digits version 2")
    assert (version.tags["kind"], version.metrics) == ("two", {"test_n": 3})
    assert folder == model, "files in the checkout are not copied"
    assert registry.fetch("models:/digits/1")[0].number == 1


def test_a_tag_that_is_no_number_is_no_metric(model: Path) -> None:
    store.connect()[0].set_model_version_tag("digits", "1", "metrics.note", "good")
    assert registry.fetch("models:/digits/1")[0].metrics == {"test_n": 3}


def test_of_many_versions_the_error_lists_the_newest(model: Path) -> None:
    client = store.connect()[0]
    for _ in range(28):
        client.create_model_version("digits", model.as_uri())
    with pytest.raises(UserError, match=r"it has digits \(versions 11, 12, .*, 29, 30 and 10 older ones; @best is 2\)"):
        registry.fetch("models:/digits@champion")


def test_reading_a_version_leaves_a_deleted_experiment_deleted(model: Path) -> None:
    client, experiment_id = store.connect()
    client.delete_experiment(experiment_id)
    registry.fetch("models:/digits@best")
    assert client.get_experiment(experiment_id).lifecycle_stage == "deleted"


def test_an_alias_is_read_again_each_time(model: Path) -> None:
    assert registry.fetch("models:/digits@best")[0].number == 2
    store.connect()[0].set_registered_model_alias("digits", "best", "1")
    version, folder = registry.fetch("models:/digits@best")
    assert (version.number, (folder / "MLmodel").read_text()) == (1, "one")


@pytest.mark.parametrize(
    "uri", ["models:/digits@champion", "models:/digits/3", "models:/other@best", "models:/digits@a b"]
)
def test_the_error_for_a_missing_version_lists_what_exists(model: Path, uri: str) -> None:
    expected = rf"has no {uri}; it has digits \(versions 1, 2; @best is 2\)"
    with pytest.raises(UserError, match=expected):
        registry.fetch(uri)


@pytest.mark.parametrize("uri", ["models:/digits", "models:/", "models:/digits/x", "digits@best", "models:/a/b@best"])
def test_another_uri_is_an_error_with_what_is_expected(model: Path, uri: str) -> None:
    with pytest.raises(UserError, match=f"expected models:/NAME@ALIAS or models:/NAME/VERSION, found {uri}"):
        registry.fetch(uri)


def test_an_empty_registry_is_an_error_that_says_so(here: Path, empty_store: None) -> None:
    with pytest.raises(UserError, match="has no models:/digits@best; it has no registered model"):
        registry.fetch("models:/digits@best")


def test_of_versions_that_were_registered_at_once_the_first_goes_on(model: Path) -> None:
    """Each of two checkouts saw no other version than 1 when it compared."""
    client = store.connect()[0]
    seen = [version for version in registry.versions(client) if version.number == 1]
    client.delete_registered_model_alias("digits", "best")
    client.create_model_version("digits", (model.parent / "one").as_uri())
    with pytest.raises(UserError, match=r"stays at no version: digits version 2 was registered from another checkout"):
        registry.move_alias(client, "digits", "best", 3, seen)
    registry.move_alias(client, "digits", "best", 2, seen)
    assert registry.fetch("models:/digits@best")[0].number == 2


def test_an_older_version_takes_an_alias_only_if_nothing_is_new(model: Path) -> None:
    client = store.connect()[0]
    seen = registry.versions(client)
    client.create_model_version("digits", (model.parent / "one").as_uri())
    with pytest.raises(UserError, match="digits version 3 was registered from another checkout"):
        registry.move_alias(client, "digits", "best", 1, seen)
    registry.move_alias(client, "digits", "best", 1, registry.versions(client))
    assert registry.fetch("models:/digits@best")[0].number == 1
