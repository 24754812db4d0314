"""Bring an MLflow run up to date with its record.

Only what is missing is added. Each step can be repeated.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.history import Epoch
from reprocnn.artifacts.model import load_model
from reprocnn.artifacts.split import TRAIN
from reprocnn.ledger.git import Changes
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG, NO_EXPERIMENT
from reprocnn.ledger.record import (
    MODEL_TAG,
    RESTORED_TAG,
    TRAINING_TAG,
    Record,
    agree,
)
from reprocnn.ledger.store import own_uri, tracking_uri
from reprocnn.run import journal

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

HASHES = "hashes.json"
"""The artifact with the md5 of train's dependencies and of the other artifacts."""
ARTIFACTS_TAG = "artifacts.md5"
"""The tag with the md5 of the other artifacts; a tag, because downloading HASHES may hang with the artifact store."""
_SOURCE_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
CHANGES, NEW_FILES = "uncommitted.diff", "uncommitted_new_files.json"
"""The artifacts with uncommitted changes: a diff, and the names of new files as a JSON list."""

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
    without an experiment, any run with the same model and params matches, such as that of an applied experiment.
    """
    if record.run_id:
        run = _active_run(client, record.run_id)
        if run and agree(run.data.params, record.params):
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


def _active_run(client: "MlflowClient", run_id: str) -> "Run | None":
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return run if run.info.lifecycle_stage == "active" else None


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


def _save_model(**given: Any) -> None:
    """Save a model as `mlflow.tensorflow.save_model` does, without the extra option that `Model.log` passes."""
    import mlflow.tensorflow

    del given["validate_serving_input"]
    mlflow.tensorflow.save_model(**given)


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
        self._has_dataset = bool(run.inputs and run.inputs.dataset_inputs)
        self._epochs = {m.step for m in self._client.get_metric_history(self.run_id, "train_loss")}
        self._artifacts: dict[str, str] = json.loads(self._tags.get(ARTIFACTS_TAG, "{}"))
        self._has_model = any(map(self._is_ready, (run.outputs and run.outputs.model_outputs) or []))

    def _is_ready(self, output: Any) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_logged_model(output.model_id).status == "READY")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # a user deleted it
                raise
            return False

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
        if record.dataset and not self._has_dataset:
            yield "data set", lambda: self._add_dataset(record)
        if epochs := [epoch for epoch in record.epochs if epoch.epoch not in self._epochs]:
            yield f"{len(epochs)} epochs", lambda: self._add_epochs(epochs, record)
        if final := {k: v for k, v in _with_mlflow_names(record.final).items() if self._metrics.get(k) != v}:
            yield "metrics", lambda: self._add_metrics(final)
        if record.status != self._status:
            yield "status", lambda: self._set_status(record)

    def _missing_files(self, record: Record) -> Iterator[Step]:
        if record.changes and CHANGES not in self._artifacts:
            yield "changes", lambda: self._add_changes(record.changes)
        if files := {name: path for name, path in record.files.items() if self._artifacts.get(name) != md5(path)}:
            yield f"{len(files)} files", lambda: self._add_files(files, record.hashes)
        if record.model and not self._has_model:
            yield "model", lambda: self._add_model(Path(record.model or ""))

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

    def _add_dataset(self, record: Record) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        digest = record.hashes.get(str(TRAIN), "unknown")
        data = Dataset(record.dataset, digest, "dvc", str(TRAIN))
        inputs = [DatasetInput(data, [InputTag("mlflow.data.context", "training")])]
        self._client.log_inputs(self.run_id, inputs)
        self._has_dataset = True

    def _add_epochs(self, epochs: list[Epoch], record: Record) -> None:
        """Add each epoch in one call, with its own time stamp, so that an epoch sent twice is stored once."""
        for epoch in epochs:
            values = asdict(epoch)
            number = values.pop("epoch")
            times = record.times.get(number)
            seconds = {"epoch_seconds": times.seconds} if times else {}
            self._log(values | seconds, number, times.ended if times else record.started)
            self._epochs.add(number)

    def _add_metrics(self, values: dict[str, float]) -> None:
        self._log(values, 0, time.time())
        self._metrics |= values

    def _log(self, values: dict[str, float], step: int, at: float) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, int(at * 1000), step) for name, value in values.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def _add_changes(self, changes: Changes) -> None:
        self._client.log_text(self.run_id, changes.diff, CHANGES)
        if changes.new_files:
            self._client.log_dict(self.run_id, list(changes.new_files), NEW_FILES)
        self._artifacts[CHANGES] = hashlib.md5(changes.diff.encode()).hexdigest()
        self._client.set_tag(self.run_id, ARTIFACTS_TAG, json.dumps(self._artifacts))

    def _add_files(self, files: dict[str, Path], deps: dict[str, str]) -> None:
        for name, path in files.items():
            if mlflow_name(name) == name:
                folder = str(Path(name).parent) if "/" in name else None
                self._client.log_artifact(self.run_id, str(path), folder)
            else:  # `log_artifact` can't rename the file
                self._client.log_text(self.run_id, path.read_text(encoding="utf-8"), mlflow_name(name))
            self._artifacts[name] = md5(path)
        self._client.log_dict(self.run_id, {"deps": deps, "artifacts": self._artifacts}, HASHES)
        self._client.set_tag(self.run_id, ARTIFACTS_TAG, json.dumps(self._artifacts))

    def _add_model(self, path: Path) -> None:
        """Log the model. `mlflow.tensorflow.log_model` can't be used: it logs to the active run only."""
        # Before any other import of TensorFlow: `backend` imports it without its messages.
        import numpy as np
        from mlflow.models import Model, infer_signature

        from reprocnn.backend import keras, quiet

        keras.config.disable_interactive_logging()  # no progress bar when MLflow tries the example
        model = load_model(path)
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        self._client.log_text(self.run_id, "\n".join(lines), "model_summary.txt")
        example = np.zeros((1, *model.input_shape[1:]), np.float32)
        # Create it explicitly: MLflow would use the experiment that the environment names, not that of the run.
        source = {name: self._tags[name] for name in _SOURCE_TAGS if name in self._tags}
        logged = self._client.create_logged_model(self._experiment_id, "model", self.run_id, source, self._params)
        with quiet():
            Model.log(
                None,
                model_id=logged.model_id,
                flavor=SimpleNamespace(save_model=_save_model),
                model=model,
                run_id=self.run_id,
                signature=infer_signature(example, model.predict_on_batch(example)),
                input_example=example,
                validate_serving_input=False,  # validation sets environment variables, which is unsafe in a thread
                # Without these, MLflow infers them by loading the model in a new process, which takes 20 to 30 s.
                pip_requirements=[f"{name}=={version(name)}" for name in ("tensorflow", "keras")],
            )
        self._has_model = True

    def _set_status(self, record: Record) -> None:
        if record.status == "RUNNING":
            self._client.update_run(self.run_id, status="RUNNING")
        else:
            ended = int((record.ended or time.time()) * 1000)
            self._client.set_terminated(self.run_id, record.status, ended)
        self._status = record.status
