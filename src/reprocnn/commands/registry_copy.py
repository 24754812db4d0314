"""Copy registered models and their aliases from one MLflow store to another."""

import hashlib
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from reprocnn.commands import sync
from reprocnn.errors import UserError
from reprocnn.ledger import logged_models, registry, revisions, store
from reprocnn.ledger.logged_models import CLASSIFIER, LoggedModels
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG, experiment_of
from reprocnn.ledger.record import MODEL_TAG
from reprocnn.ledger.registry import Registration, Version
from reprocnn.ledger.revisions import Result
from reprocnn.masking import masked
from reprocnn.run import locks, state

_LINEAGE = (
    *(MODEL_TAG, registry.TRAINING_DATA_TAG, registry.TEST_DATA_TAG, registry.PREDICTIONS_TAG),
    *("git.commit", EXPERIMENT_TAG, BASELINE_TAG),
)
"""The tags that two versions share if they are the same model from the same result."""


def copy(name: str | None, source: str | None, force: bool) -> None:
    """Copy the versions of a registered model, or of all, to the store that MLFLOW_TRACKING_URI names.

    Exits with status 1 if some could not be copied, or an alias points elsewhere there.

    Args:
        name: the name of the registered model; None: all.
        source: the store to copy from; None: that of the checkout.
        force: whether to move aliases that point to another version.

    Raises:
        UserError: both are one store, one does not answer, or no registered model has the name.
    """
    uri, target = store.absolute(source) if source else store.own_uri(), store.tracking_uri()
    _check_stores(uri, target)
    with locks.exclusive(state.promote_lock(), "promotes or copies models"):
        with store.explain_errors(uri):
            known = registry.versions(store.reader(uri))
        found = sorted((v for v in known if name in {None, v.name}), key=lambda v: (v.name, v.number))
        if not found:
            names = ", ".join(sorted({version.name for version in known})) or "none"
            problem = f"{masked(uri)} has no registered model{f' {name!r}' if name else ''}; it has: {names}"
            raise UserError(problem, f"name one of these, or the store that has it with --from; {_USAGE}")
        print(f"from {masked(uri)}\nto   {masked(target)}")
        sync.exit_if_failed(_Copy(uri, force).copy_all(found))


_THERE = "already there"
_USAGE = f"`{registry.COPY_COMMAND} --help` explains both"


def _check_stores(source: str, target: str) -> None:
    """Check that there are two stores, and that the first exists.

    Raises:
        UserError: it is not so.
    """
    if _place(source) == _place(target):
        problem = f"expected two MLflow stores, found one: it would copy from {masked(source)} to itself"
        raise UserError(problem, f"name the other one with --to URI, --from URI or MLFLOW_TRACKING_URI; {_USAGE}")
    file = store.database(source)
    if file and not file.exists():
        problem = f"there is no MLflow store to copy from: {file} does not exist"
        raise UserError(problem, f"name the store that has the models with --from URI; {_USAGE}")


def _place(uri: str) -> str:
    """Return where a store is, the same for two spellings of its URI."""
    file = store.database(uri)
    return str(file.resolve()) if file else uri.rstrip("/")


class _Copy:
    """A copy of versions from one store to another.

    Args:
        source: the URI of the store to copy from.
        force: whether to move aliases that point to another version.
    """

    def __init__(self, source: str, force: bool) -> None:
        self._source, self._force = source, force
        with store.explain_errors(source):
            self._from = store.reader(source)
        self._to, self._experiment_id = store.connect_or_explain()

    def copy_all(self, found: list[Version]) -> list[UserError]:
        """Copy versions, the oldest first, and then their aliases; print a line for each. Return the errors."""
        failed: list[UserError] = []
        numbers: dict[int, int] = {}
        counts = Counter[str]()
        for index, version in enumerate(found, start=1):
            try:
                number, message = self._copy(version)
                numbers[index] = number
                counts["there" if message == _THERE else "copied"] += 1
                message = f"version {version.number} -> {number}  {message}"
            except UserError as error:
                failed.append(error)
                message = f"version {version.number}  failed: {error.problem}"
            print(f"[{index}/{len(found)}] {version.name}  {message}", flush=True)
        counts["failed"] = len(failed)
        for index, number in numbers.items():
            failed += self._copy_aliases(found[index - 1], number, counts)
        noun = "version" if len(found) == 1 else "versions"
        rest = f", {counts['failed']} failed" if counts["failed"] else ""
        aliases = f"aliases: {counts['set']} set, {counts['kept']} as they were"
        print(f"{len(found)} {noun}: {counts['copied']} copied, {counts['there']} already there{rest}; {aliases}")
        return failed

    def _copy(self, version: Version) -> tuple[int, str]:
        """Copy a version, unless it is there; return its number there and what was done.

        Raises:
            UserError: a store does not answer, or the files of the version can't be read.
        """
        with store.explain_errors():
            there = [other for other in registry.versions(self._to) if other.name == version.name]
            same = next((o for o in there if self._is_same(version, o) and registry.has_files(self._to, o)), None)
        if same:
            return same.number, _THERE
        run_id = self._run_of(version)
        with store.explain_errors(self._source):
            model = self._from.get_registered_model(version.name)
        with store.explain_errors():
            model_id = self._model_of(version, run_id)
            registry.create(self._to, version.name, model.tags, model.description)
            tags = version.tags | {registry.COPIED_TAG: _address(version, self._source)}
            new = Registration(model_id, run_id, tags, version.description)
            number = registry.register(self._to, version.name, new)
        return number, f"copied, run {run_id}" if run_id else "copied; DVC and MLflow have no run for it there"

    def _is_same(self, version: Version, other: Version) -> bool:
        """Return whether a version of the other store is the same model from the same result."""
        if MODEL_TAG in version.tags:
            return all(version.tags.get(tag) == other.tags.get(tag) for tag in _LINEAGE)
        # `promote` did not register it, so only the way that it came says where it is from.
        came = other.tags.get(registry.COPIED_TAG) == _address(version, self._source)
        return came or version.tags.get(registry.COPIED_TAG) == _address(other, store.tracking_uri())

    def _run_of(self, version: Version) -> str | None:
        """Return the run of a version in the other store, completed from DVC's files; None if there is none.

        Raises:
            UserError: the store does not answer, or DVC can't read its remote.
        """
        if MODEL_TAG not in version.tags:
            return None
        if result := self._result_of(version):
            with suppress(sync.UnavailableError):
                return sync.complete_run(self._to, self._experiment_id, result)
        own = {tag: version.tags[tag] for tag in (MODEL_TAG, EXPERIMENT_TAG, BASELINE_TAG) if tag in version.tags}
        query = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in own.items())
        with store.explain_errors():
            found = self._to.search_runs([self._experiment_id], query, order_by=["attributes.start_time DESC"])
        return str(found[0].info.run_id) if found else None

    def _result_of(self, version: Version) -> Result | None:
        """Return the result of DVC that a version comes from; None if this checkout does not have it."""
        named = []
        with suppress(UserError):
            named.append(revisions.find(version.tags.get(registry.RESULT_TAG, "HEAD")))
        for result in [*named, *self._results]:
            with suppress(UserError):  # it has no dvc.lock
                if result.model_md5 == version.tags[MODEL_TAG] and experiment_of(result.origin) == experiment_of(
                    version.tags
                ):
                    return result
        return None

    @cached_property
    def _results(self) -> list[Result]:
        return [*revisions.experiments(), revisions.workspace()]

    def _model_of(self, version: Version, run_id: str | None) -> str:
        """Return the ID of the logged model for a version in the other store; upload its files if it lacks them.

        Raises:
            UserError: they are gone, or can't be read.
        """
        models = LoggedModels(self._to, self._to.get_run(run_id)) if run_id else None
        if models and models.is_ready(CLASSIFIER):
            return models.id_of(CLASSIFIER)
        with TemporaryDirectory() as folder:
            with store.explain_errors(self._source):
                files = registry.download(self._from, version, self._source, Path(folder))
            if models:
                models.add_copy(CLASSIFIER, files)
                return models.id_of(CLASSIFIER)
            key = hashlib.md5(_address(version, self._source).encode(), usedforsecurity=False).hexdigest()
            return logged_models.add_without_run(self._to, self._experiment_id, key, files)

    def _copy_aliases(self, version: Version, number: int, counts: Counter[str]) -> list[UserError]:
        """Let the aliases of a version point to its copy; return an error for each that points elsewhere."""
        failed: list[UserError] = []
        for alias in version.aliases:
            try:
                with store.explain_errors():
                    self._copy_alias(version.name, alias, number, counts)
            except UserError as error:
                print(error.problem, flush=True)
                failed.append(error)
        return failed

    def _copy_alias(self, name: str, alias: str, number: int, counts: Counter[str]) -> None:
        now = next((v.number for v in registry.versions(self._to) if v.name == name and alias in v.aliases), None)
        uri = f"models:/{name}@{alias}"
        if now == number:
            counts["kept"] += 1
            return
        if now and not self._force:
            problem = f"{uri} stays: it is version {now} there, and would be version {number}"
            raise UserError(problem, f"to move it: {registry.COPY_COMMAND} --force")
        self._to.set_registered_model_alias(name, alias, str(number))
        counts["set"] += 1
        print(f"{uri} is version {number} now{f'; before: version {now}' if now else ''}", flush=True)


def _address(version: Version, uri: str) -> str:
    """Return which version of which store a version is; a number may be given again, so it has the time, too."""
    registered = datetime.fromtimestamp(version.created, UTC).isoformat(timespec="milliseconds")
    return f"{version.label} of {masked(uri)}, registered {registered}"
