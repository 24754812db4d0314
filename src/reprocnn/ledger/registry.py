"""Read and write MLflow's registry: versions of models, where each comes from, and its files."""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.predictions import PREDICTIONS, read_predictions
from reprocnn.errors import UserError
from reprocnn.ledger import store
from reprocnn.ledger.revisions import in_cache
from reprocnn.masking import masked
from reprocnn.run import downloads

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

COPY_COMMAND = "python -m reprocnn registry copy"
PROMOTE_COMMAND = "python -m reprocnn promote"
REGISTRY_COMMAND = "python -m reprocnn registry"

TRAINING_DATA_TAG, TEST_DATA_TAG, PREDICTIONS_TAG = "data.training.md5", "data.test.md5", "predictions.md5"
"""Tags of a version with the md5 of its training data, of its test data, and of its predictions for these."""
METRIC_PREFIX = "metrics."
"""Prefix of the tags of a version with its metrics."""
COPIED_TAG = "copied.from"
"""Tag of a version that was copied from another store: which version of which store it is there."""
NAME_TAG, RESULT_TAG, FORCED_TAG = "promoted.name", "promoted.commit", "promoted.forced"
"""Tags of a version: the name of the result that was promoted, its commit, and why it would have been refused."""

_URI = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))")
_MOST_LISTED = 20
"""Names, and versions of each, in a message."""
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Codes of MLflow's errors for a name, version or alias that does not exist."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Args:
        name: the name of the registered model.
        number: the number of the version, from 1.
        created: when it was registered, as Unix time in seconds.
        run_id: the ID of the MLflow run that it comes from; empty if it has none.
        source: the URI of the model that was registered.
        tags: its tags.
        aliases: the aliases that point to it; of a version that an alias names, this one.
        description: its description, in Markdown.
    """

    name: str
    number: int
    created: float
    run_id: str
    source: str
    tags: dict[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    description: str = ""

    @property
    def label(self) -> str:
        """Its name and number, for messages."""
        return f"{self.name} version {self.number}"

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics in its tags, name -> value."""
        found = {}
        for tag in self.tags:
            if tag.startswith(METRIC_PREFIX):
                with suppress(ValueError):  # anybody can set tags in MLflow
                    found[tag.removeprefix(METRIC_PREFIX)] = float(self.tags[tag])
        return found


def fetch(uri: str) -> tuple[Version, Path]:
    """Return the version that a URI names now, and a folder with its files.

    The files of a version never change. Those on a server are downloaded once, to the cache of downloads; those in the
    checkout are used where they are. If nothing has to be downloaded, these are two short requests.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        UserError: MLflow does not answer, there is no such version, or its files are gone.
    """
    with store.explain_errors():
        client = store.reader()
        version = _find(client, uri)
        return version, _folder(client, version)


def _find(client: "MlflowClient", uri: str) -> Version:
    from mlflow.exceptions import MlflowException

    parts = _URI.fullmatch(uri)
    if not parts:
        problem = f"expected models:/NAME@ALIAS or models:/NAME/VERSION, found {uri}"
        raise UserError(problem, f"`{REGISTRY_COMMAND}` lists the names, versions and aliases")
    name, alias, number = parts.groups()
    try:
        found = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code not in _MISSING:
            raise
        raise _missing_error(client, uri) from None
    return _version(found, (alias,) if alias else ())


def _missing_error(client: "MlflowClient", uri: str) -> UserError:
    """Return the error for a URI without a version; it lists the versions that exist."""
    known = versions(client)
    names = list(dict.fromkeys(version.name for version in known))
    lines = []
    for name in names[:_MOST_LISTED]:
        own = [version for version in known if version.name == name]
        aliases = ", ".join(f"@{alias} is {version.number}" for version in own for alias in version.aliases)
        numbers = ", ".join(str(version.number) for version in reversed(own[:_MOST_LISTED]))
        numbers += f" and {len(own) - _MOST_LISTED} older ones" if len(own) > _MOST_LISTED else ""
        noun = "versions" if len(own) > 1 else "version"
        lines.append(f"{name} ({noun} {numbers}; {aliases or 'no alias'})")
    rest = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    has = f"it has {', '.join(lines)}{rest}" if lines else "it has no registered model"
    problem = f"MLflow at {masked(store.tracking_uri())} has no {uri}; {has}"
    return UserError(problem, f"name one that `{REGISTRY_COMMAND}` lists, or register one: {PROMOTE_COMMAND}")


def _version(found: "ModelVersion", aliases: tuple[str, ...]) -> Version:
    return Version(
        found.name,
        int(found.version),
        found.creation_timestamp / 1000,
        found.run_id or "",
        found.source,
        dict(found.tags),
        aliases,
        found.description or "",
    )


def versions(client: "MlflowClient") -> list[Version]:
    """List the versions of all registered models, newest first."""
    models = store.all_pages(lambda token: client.search_registered_models(page_token=token))
    aliases: dict[tuple[str, int], list[str]] = {}
    for model in models:
        for alias, number in sorted(model.aliases.items()):
            aliases.setdefault((model.name, int(number)), []).append(alias)
    found = store.all_pages(lambda token: client.search_model_versions(page_token=token))
    made = [_version(one, tuple(aliases.get((one.name, int(one.version)), ()))) for one in found]
    return sorted(made, key=lambda version: (version.created, version.number), reverse=True)


def check_name(name: str, alias: str) -> None:
    """Check the name of a registered model and an alias.

    Raises:
        UserError: MLflow, or a URI such as `models:/NAME@ALIAS`, can't have one of them.
    """
    if not re.fullmatch(r"[\w.-][\w. -]{0,199}", name):
        expected = "letters, digits, spaces, and . _ -"
        raise UserError(
            f"the name of a registered model: expected {expected}, found {name!r}", "choose one with --name"
        )
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,200}", alias) or re.fullmatch(r"(?i)latest|v\d+", alias):
        expected = "letters, digits, _ and -, but not `latest` or `v1`"
        raise UserError(f"--alias: expected {expected}, found {alias!r}", "for example --alias champion")


@dataclass(frozen=True)
class Registration:
    """What a new version of a model gets.

    Args:
        model_id: the ID of the logged model.
        run_id: the ID of its run; None if it has none.
        tags: where it comes from.
        description: its description, in Markdown.
    """

    model_id: str
    run_id: str | None
    tags: dict[str, str]
    description: str


def create(client: "MlflowClient", name: str, tags: dict[str, str] | None = None, description: str = "") -> None:
    """Create a registered model without versions, unless it exists."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, tags, description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def register(client: "MlflowClient", name: str, new: Registration) -> int:
    """Register a logged model as a new version; return its number. The version appears with all of its tags."""
    create(client, name)
    source = f"models:/{new.model_id}"
    made = client.create_model_version(
        name, source, new.run_id, new.tags, description=new.description, model_id=new.model_id
    )
    return int(made.version)


def move_alias(client: "MlflowClient", name: str, alias: str, number: int, seen: list[Version]) -> None:
    """Let an alias point to a version, unless another checkout was faster.

    MLflow can't compare and set an alias in one step. But it gives each new version a number of its own, so of several
    checkouts that register at the same time the one with the lowest number goes on, and the others see its version.

    Args:
        client: client of the store.
        name: the name of the registered model.
        alias: the alias.
        number: the version that it shall point to.
        seen: the versions of the model when the new one was compared.

    Raises:
        UserError: the alias was moved, or another version was registered meanwhile.
    """
    now = [version for version in versions(client) if version.name == name]
    known = {version.number for version in seen}
    earlier = [v.label for v in now if v.number not in known and (number in known or v.number < number)]
    before, current = (next((v.label for v in found if alias in v.aliases), "no version") for found in (seen, now))
    if before != current or earlier:
        what = f"{earlier[-1]} was registered" if earlier else f"@{alias} was moved from {before} to {current}"
        problem = f"models:/{name}@{alias} stays at {current}: {what} from another checkout meanwhile"
        raise UserError(problem, "run promote again, which compares with the current version")
    client.set_registered_model_alias(name, alias, str(number))


def has_files(client: "MlflowClient", version: Version) -> bool:
    """Return whether the files of a version still exist."""
    from mlflow.artifacts import list_artifacts
    from mlflow.exceptions import MlflowException

    uri = client.get_model_version_download_uri(version.name, str(version.number))
    try:
        return bool(list_artifacts(artifact_uri=uri, tracking_uri=store.tracking_uri()))
    except (OSError, MlflowException):
        return False


def read_answers(client: "MlflowClient", version: Version) -> "pd.DataFrame":
    """Read the predictions of a version for the test images: those in DVC's cache, else those of its MLflow run.

    Returns:
        The columns of `write_predictions`.

    Raises:
        UserError: neither has them.
    """
    from mlflow.exceptions import MlflowException

    expected = version.tags.get(PREDICTIONS_TAG, "")
    if expected and (cached := in_cache(expected)).exists():
        return read_predictions(cached)
    with TemporaryDirectory() as folder:
        try:
            file = Path(client.download_artifacts(version.run_id, PREDICTIONS.name, folder))
            if expected and md5(file) == expected:
                return read_predictions(file)
        except (OSError, MlflowException) as error:
            found = masked(str(error))
        else:
            found = f"the file in the run has the md5 {md5(file)}"
    where = "neither in DVC's cache nor in its MLflow run"
    problem = f"the predictions of {version.label} are {where}: expected {expected or 'its tag'}"
    raise UserError(f"{problem}, found: {found}", f"dvc fetch, or {PROMOTE_COMMAND} --force")


def _folder(client: "MlflowClient", version: Version) -> Path:
    """Return a folder with the files of a version, downloaded if they are on a server."""
    uri = client.get_model_version_download_uri(version.name, str(version.number))
    if urlparse(uri).scheme in {"", "file"}:
        return _download(version, uri)
    from filelock import FileLock

    # The key has the time, too: a number may be given again after a version was deleted.
    parts = [store.tracking_uri(), version.name, version.number, version.created, version.source]
    key = hashlib.md5(json.dumps(parts).encode(), usedforsecurity=False).hexdigest()
    cached = downloads.places().cache / "registry" / key
    cached.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(cached.with_suffix(".lock")):
        if not cached.exists():
            with TemporaryDirectory(dir=cached.parent) as folder:
                _download(version, uri, folder).rename(cached)
    return cached


def download(client: "MlflowClient", version: Version, store_uri: str, folder: Path) -> Path:
    """Copy the files of a version from its store to a folder; return where they are.

    Raises:
        UserError: they are gone, or can't be read.
    """
    uri = client.get_model_version_download_uri(version.name, str(version.number))
    return _download(version, uri, str(folder), store_uri)


def _download(version: Version, uri: str, folder: str | None = None, store_uri: str = "") -> Path:
    """Copy the files of a version to a folder; return where they are.

    Args:
        version: the version.
        uri: where its files are.
        folder: the folder; None: do not copy files that are on this machine.
        store_uri: the store of the version; empty: that of `tracking_uri`.

    Raises:
        UserError: they are gone, or can't be read.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        where = store_uri or store.tracking_uri()
        return Path(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=where))
    except (OSError, MlflowException) as error:
        problem = f"the files of {version.label} can't be read at {masked(uri)}: {masked(str(error))}"
        name = version.tags.get(NAME_TAG, "EXPERIMENT")
        raise UserError(problem, f"register the model again: {PROMOTE_COMMAND} {name} --name {version.name}") from error
