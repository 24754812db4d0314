"""Bring an MLflow run up to date with its record.

Only what is missing is added. Each step can be repeated.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.training import TRAINING
from reprocnn.ledger.description import describe
from reprocnn.ledger.git import Changes, git
from reprocnn.ledger.logged_models import CLASSIFIER, KERAS, LoggedModels
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG, NO_EXPERIMENT
from reprocnn.ledger.record import (
    MODEL_TAG,
    RESTORED_TAG,
    TEST_PREFIX,
    TRAINING_TAG,
    DataSet,
    Record,
    agree,
)
from reprocnn.ledger.store import own_uri, tracking_uri
from reprocnn.masking import masked
from reprocnn.params import PARAMS
from reprocnn.run import journal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

HASHES = "hashes.json"
"""The artifact with the md5 of train's dependencies and of the other artifacts."""
ARTIFACTS_TAG = "artifacts.md5"
"""The tag with the md5 of the other artifacts; a tag, because downloading HASHES may hang with the artifact store."""
DESCRIPTION_TAG, _OWN_DESCRIPTION_TAG = "mlflow.note.content", "description.md5"
"""The tags with the description of a run, and with the md5 of the one that this project wrote."""
CONTEXT_TAG = "mlflow.data.context"
"""MLflow's tag of a data set with its use in the run, as in `DataSet.context`."""
CHANGES, NEW_FILES = "uncommitted.diff", "uncommitted_new_files.json"
"""The artifacts with uncommitted changes: a diff, and the names of new files as a JSON list."""

_OF_USER = (PARAMS.name, "dvc.yaml")
"""The files that a user writes, perhaps with a secret in a comment; `mlflow_name` renames no others."""

Step = tuple[str, Callable[[], None]]
Value = TypeVar("Value", str, float)
_DVC_NAME = re.compile(r"(?:^|(?<=/))dvc(?=\.(?:yaml|lock)$)|\.dvc(?=ignore$|/|$)")


def mlflow_name(name: str) -> str:
    """Return a name for a param, tag, metric or artifact that DVC does not mistake for one of its own files.

    An MLflow file store keeps each of these in a file of the same name. DVC reads every `dvc.yaml` and `*.dvc` below
    the checkout and fails if one has other content. It is case-sensitive, so this function writes `DVC` in capitals.
    """
    return _DVC_NAME.sub(lambda found: found[0].upper(), name)


def _with_mlflow_names(values: Mapping[str, Value]) -> dict[str, Value]:
    return {mlflow_name(name): value for name, value in values.items()}


def find(client: "MlflowClient", experiment_id: str, record: Record) -> "Run | None":
    """Find the MLflow run of a record; None if there is none.

    It is the run that the journal names, or the newest with the same model, DVC experiment and params. For a record
    without an experiment, any run with the same model and params matches, such as that of an applied experiment. The
    run that the journal names may be in another store, or in another MLflow experiment: it is not taken then.
    """
    if record.run_id:
        run = _run(client, record.run_id)
        if run and _is_active(run, experiment_id) and agree(run.data.params, record.params):
            return run
    queries = [f"tags.`{TRAINING_TAG}` = '{record.training}'"] if record.training else []
    if record.model_md5:
        model = f"tags.`{MODEL_TAG}` = '{record.model_md5}'"
        own = [f"tags.`{tag}` = '{record.origin[tag]}'" for tag in (EXPERIMENT_TAG, BASELINE_TAG)]
        queries.append(" and ".join([model, *own]))
        queries += [model] if record.origin[EXPERIMENT_TAG] == NO_EXPERIMENT else []
    for query in queries:
        found = client.search_runs([experiment_id], query, order_by=["attributes.start_time DESC"])
        found = [run for run in found if agree(run.data.params, record.params)]
        if found:  # prefer a run that was logged live to one that was restored from DVC's files
            return min(found, key=lambda run: RESTORED_TAG in run.data.tags)
    return None


def find_renamed(
    client: "MlflowClient", experiment_id: str, record: Record, experiments: set[tuple[str, str]]
) -> "Run | None":
    """Find a run with the same result as a record, whose experiment no longer exists or that has none.

    Such runs remain after `dvc exp rename`, and after `dvc exp save` of a result of `dvc repro`. The run has the model,
    params and files of the record, and it was made in this checkout.

    Args:
        client: client of the store.
        experiment_id: ID of the MLflow experiment.
        record: the record of a DVC experiment.
        experiments: name and baseline of each existing DVC experiment.
    """
    if record.origin[EXPERIMENT_TAG] == NO_EXPERIMENT:
        return None
    trainings = set(journal.trainings())
    for run in client.search_runs([experiment_id], f"tags.`{MODEL_TAG}` = '{record.model_md5}'"):
        tags = run.data.tags
        ours = tags.get(TRAINING_TAG) in trainings or tracking_uri() == own_uri()
        orphaned = (tags.get(EXPERIMENT_TAG, ""), tags.get(BASELINE_TAG, "")) not in experiments
        files = json.loads(tags.get(ARTIFACTS_TAG, "{}"))
        same = all(files.get(name, "") in {"", md5(path)} for name, path in record.files.items())
        if ours and orphaned and same and agree(run.data.params, record.params):
            return run
    return None


def _is_active(run: "Run", experiment_id: str) -> bool:
    """Return whether a run is in an MLflow experiment and nobody deleted it."""
    return bool(run.info.lifecycle_stage == "active" and run.info.experiment_id == experiment_id)


def was_deleted(client: "MlflowClient", record: Record) -> bool:
    """Return whether somebody deleted the run that the journal names; it may as well be in another store."""
    if not record.run_id:
        return False
    run = _run(client, record.run_id)
    if run:
        return bool(run.info.lifecycle_stage == "deleted")
    return record.store in {"", masked(tracking_uri())}  # older journals do not name the store


def _run(client: "MlflowClient", run_id: str) -> "Run | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        # A server with logins denies its users a run that it does not have.
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"}:
            raise
        return None


def _run_steps(steps: Iterator[Step]) -> list[str]:
    """Run each step; return the names of the steps."""
    names = []
    for name, step in steps:
        step()
        names.append(name)
    return names


def _restored_note(record: Record) -> str:
    absent = {
        "versions and hardware": not record.environment,
        "epoch times": not record.times,
        "system metrics": True,
    }
    return f"from DVC's files; absent: {', '.join(name for name, is_absent in absent.items() if is_absent)}"


def _text_md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class Mirror:
    """The MLflow run of a record, and what it contains so far.

    Args:
        client: client of the store.
        experiment_id: ID of the MLflow experiment in which to create the run.
        run: the run that `find` found; None: create it with the first step.
        live: whether the training process creates the run; with a slow store this may happen after the training.
    """

    def __init__(self, client: "MlflowClient", experiment_id: str, run: "Run | None", *, live: bool = False) -> None:
        self._client, self._experiment_id, self._live = client, experiment_id, live
        self.run_id: str | None = None
        if run:
            self._load(run)

    def _load(self, run: "Run") -> None:
        self.run_id, self._name, self._status = run.info.run_id, run.info.run_name, run.info.status
        # Runs of older versions of this project have the unchanged names.
        self._params, self._tags = _with_mlflow_names(run.data.params), _with_mlflow_names(run.data.tags)
        self._metrics = _with_mlflow_names(run.data.metrics)
        self._datasets = {
            (tag.value, given.dataset.digest)
            for given in (run.inputs and run.inputs.dataset_inputs) or []
            for tag in given.tags
            if tag.key == CONTEXT_TAG
        }
        self._epochs = {m.step for m in self._client.get_metric_history(self.run_id, "train_loss")}
        self._artifacts: dict[str, str] = json.loads(self._tags.get(ARTIFACTS_TAG, "{}"))
        self._models = LoggedModels(self._client, run)

    def complete(self, record: Record) -> list[str]:
        """Add what is missing from the run; return the names of what was added."""
        return self.complete_values(record) + self.complete_files(record)

    def complete_values(self, record: Record) -> list[str]:
        """Add everything except files, so that the run gets its final status even if the artifact store fails."""
        added = []
        if self.run_id is None:
            self._create(record)
            added.append("run")
        return added + _run_steps(self._missing_values(record))

    def complete_files(self, record: Record) -> list[str]:
        """Add the files that are missing from an existing run."""
        return _run_steps(self._missing_files(record))

    def _create(self, record: Record) -> None:
        """Create the run; tag it as restored if it is made from DVC's files after the training."""
        restored = {} if self._live else {RESTORED_TAG: _restored_note(record)}
        run = self._client.create_run(
            self._experiment_id,
            start_time=int(record.started * 1000),
            tags=_with_mlflow_names(record.tags) | restored,
            run_name=record.name,
        )
        self._load(run)

    def missing(self, record: Record) -> Iterator[Step]:
        """Yield the name of each missing part of the run and the step that adds it."""
        yield from self._missing_values(record)
        yield from self._missing_files(record)

    def _missing_values(self, record: Record) -> Iterator[Step]:
        if params := {k: v for k, v in _with_mlflow_names(record.params).items() if k not in self._params}:
            yield "params", lambda: self._add_params(params)
        if self._has_other_experiment(record):
            yield "experiment", lambda: self._rename(record)
        # A resumed training may have another name. After the end, a name given by the user stays.
        live = record.status == "RUNNING"
        name = record.name if live else self._name
        wanted = _with_mlflow_names(record.tags)
        tags = {k: v for k, v in wanted.items() if k not in self._tags or (live and self._tags[k] != v)}
        if tags or name != self._name:
            yield "tags", lambda: self._add_tags(tags, name)
        if datasets := [data for data in record.datasets if (data.context, data.md5) not in self._datasets]:
            yield "data sets", lambda: self._add_datasets(datasets, record.dataset)
        if epochs := [epoch for epoch in record.epochs if epoch.epoch not in self._epochs]:
            yield f"{len(epochs)} epochs", lambda: self._add_epochs(epochs, record)
        if final := self._missing_metrics(record):
            yield "metrics", lambda: self._add_metrics(final, record)
        if description := self._new_description(record):
            yield "description", lambda: self._describe(description)
        if record.status != self._status:
            yield "status", lambda: self._set_status(record)

    def _missing_files(self, record: Record) -> Iterator[Step]:
        if record.changes and CHANGES not in self._artifacts:
            yield "changes", lambda: self._add_changes(record.changes)
        if files := {name: path for name, path in record.files.items() if self._artifacts.get(name) != md5(path)}:
            yield f"{len(files)} files", lambda: self._add_files(files, record.hashes)
        if (onnx := record.onnx) and not self._models.is_ready(CLASSIFIER):
            yield CLASSIFIER, lambda: self._models.add_classifier(onnx, record.pictures)
        if (keras := record.model) and not self._models.is_ready(KERAS):
            yield KERAS, lambda: self._models.add_keras(keras)

    def _missing_metrics(self, record: Record) -> dict[str, float]:
        """Return the metrics of the model that the run or its logged model lacks."""
        model = self._evaluated_model(record)
        linked = self._models.metrics(model)
        return {
            name: value
            for name, value in _with_mlflow_names(record.final).items()
            if self._metrics.get(name) != value or (model and linked.get(name) != value)
        }

    def _evaluated_model(self, record: Record) -> str:
        """Return the name of the logged model that the metrics belong to; empty if the run has no model."""
        files = ((CLASSIFIER, record.onnx), (KERAS, record.model))
        return next((name for name, file in files if file or name in self._models), "")

    def _new_description(self, record: Record) -> str:
        """Return the description of a finished run; empty if the run has it, or one that a user wrote."""
        now = self._tags.get(DESCRIPTION_TAG)
        own = now is None or _text_md5(now) == self._tags.get(_OWN_DESCRIPTION_TAG)
        if not own or record.status != "FINISHED" or TRAINING.name not in record.files:
            return ""
        text = describe(record, str(self.run_id), self._tags, self._metrics | record.final)
        return text if text != now else ""

    def _describe(self, text: str) -> None:
        self._add_tags({DESCRIPTION_TAG: text, _OWN_DESCRIPTION_TAG: _text_md5(text)}, self._name)

    def _has_other_experiment(self, record: Record) -> bool:
        """Return whether the record has an experiment and the run has a different one or none."""
        own = {tag: record.origin.get(tag) for tag in (EXPERIMENT_TAG, BASELINE_TAG)}
        return own[EXPERIMENT_TAG] != NO_EXPERIMENT and any(self._tags.get(tag) != own[tag] for tag in own)

    def _rename(self, record: Record) -> None:
        """Set the experiment of the run and its journal to that of the record; keep a run name given by the user."""
        # A generated name is that of an experiment, or branch and commit, such as main@1234567.
        given = self._name != self._tags.get(EXPERIMENT_TAG) and "@" not in self._name
        self._add_tags(_with_mlflow_names(record.origin), self._name if given else record.name)
        if training := self._tags.get(TRAINING_TAG):
            journal.append(training, "renamed", name=record.name, tags=record.origin)

    def _add_params(self, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(self.run_id, params=[Param(key, value) for key, value in params.items()])
        self._params |= params

    def _add_tags(self, tags: dict[str, str], name: str) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        self._client.update_run(self.run_id, name=name)
        self._tags |= tags
        self._name = name

    def _add_datasets(self, datasets: list[DataSet], name: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        commit, remote = self._tags.get("git.commit", "none"), masked(git("remote", "get-url", "origin"))
        origin = ({"commit": commit} if commit != "none" else {}) | ({"repository": remote} if remote else {})
        inputs = [
            DatasetInput(
                Dataset(name, data.md5, "dvc", json.dumps({"path": data.path.as_posix()} | origin)),
                [InputTag(CONTEXT_TAG, data.context)],
            )
            for data in datasets
        ]
        self._client.log_inputs(self.run_id, inputs)
        self._datasets |= {(data.context, data.md5) for data in datasets}

    def _add_epochs(self, epochs: list[Epoch], record: Record) -> None:
        """Add each epoch in one call, with its own time stamp, so that an epoch sent twice is stored once."""
        from mlflow.entities import Metric

        for epoch in epochs:
            values = asdict(epoch)
            number = values.pop("epoch")
            times = record.times.get(number)
            seconds = {"epoch_seconds": times.seconds} if times else {}
            at = int((times.ended if times else record.started) * 1000)
            metrics = [Metric(name, value, at, number) for name, value in (values | seconds).items()]
            self._client.log_batch(self.run_id, metrics=metrics)
            self._epochs.add(number)

    def _add_metrics(self, values: dict[str, float], record: Record) -> None:
        """Add metrics of the model to the run and to its logged model; those of the test images with the data set."""
        from mlflow.entities import Metric

        model = self._evaluated_model(record)
        link = {"model_id": self._models.id_of(model), "run_id": self.run_id} if model else {}
        data = {"dataset_name": record.dataset, "dataset_digest": record.test_md5} if model and record.test_md5 else {}
        metrics = [
            Metric(name, value, self._time_of(name, value), 0, **link, **(data if name.startswith(TEST_PREFIX) else {}))
            for name, value in values.items()
        ]
        self._client.log_batch(self.run_id, metrics=metrics)
        self._metrics |= values
        self._models.add_metrics(model, values)

    def _time_of(self, name: str, value: float) -> int:
        """Return the time stamp for a metric: that of the same value in the run, which is then stored once, or now."""
        if self._metrics.get(name) == value:
            return int(self._client.get_metric_history(self.run_id, name)[-1].timestamp)
        return int(time.time() * 1000)

    def _add_changes(self, changes: Changes) -> None:
        self._client.log_text(self.run_id, changes.diff, CHANGES)
        if changes.new_files:
            self._client.log_dict(self.run_id, list(changes.new_files), NEW_FILES)
        self._artifacts[CHANGES] = _text_md5(changes.diff)
        self._client.set_tag(self.run_id, ARTIFACTS_TAG, json.dumps(self._artifacts))

    def _add_files(self, files: dict[str, Path], deps: dict[str, str]) -> None:
        for name, path in files.items():
            if path.name not in _OF_USER:
                folder = str(Path(name).parent) if "/" in name else None
                self._client.log_artifact(self.run_id, str(path), folder)
            else:
                self._client.log_text(self.run_id, masked(path.read_text(encoding="utf-8")), mlflow_name(name))
            self._artifacts[name] = md5(path)
        self._client.log_dict(self.run_id, {"deps": deps, "artifacts": self._artifacts}, HASHES)
        self._client.set_tag(self.run_id, ARTIFACTS_TAG, json.dumps(self._artifacts))

    def _set_status(self, record: Record) -> None:
        if record.status == "RUNNING":
            self._client.update_run(self.run_id, status="RUNNING")
        else:
            ended = int((record.ended or time.time()) * 1000)
            self._client.set_terminated(self.run_id, record.status, ended)
        self._status = record.status
