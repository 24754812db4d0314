"""Collect all that the MLflow run of a training shows, from the journal and from DVC's files.

A running training has only its journal. A result that DVC restored or pulled may have no journal; its record is made
from DVC's files alone.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from reprocnn.artifacts.confidence import CONFIDENCE, COVERAGE, RELIABILITY
from reprocnn.artifacts.examples import EXAMPLES
from reprocnn.artifacts.figures import DESCRIPTION, FIGURES, REPORT
from reprocnn.artifacts.files import read_json
from reprocnn.artifacts.history import HISTORY, Epoch, read_history
from reprocnn.artifacts.model import MODEL, ONNX_MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.predictions import PREDICTIONS
from reprocnn.artifacts.robustness import ROBUSTNESS
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, PER_CLASS
from reprocnn.artifacts.split import RAW_TEST, TRAIN
from reprocnn.artifacts.training import TRAINING
from reprocnn.ledger.git import Changes, show
from reprocnn.ledger.origin import NO_EXPERIMENT_TAGS, experiment_of
from reprocnn.params import PARAMS, read_params
from reprocnn.run import identity, journal
from reprocnn.run.journal import Event

MODEL_TAG, TRAINING_TAG, RESTORED_TAG, PROCESS_TAG = identity.MODEL_MD5, "training.id", "restored", "process"

UNKNOWN = "unknown"
"""Name of a training that was killed before its origin was recorded."""

_TRAINED = (PARAMS, Path("dvc.yaml"), HISTORY, MODEL_CARD, TRAINING)
_EVALUATED = (METRICS, PER_CLASS, CONFUSION_MATRIX, CONFIDENCE, RELIABILITY, COVERAGE, PREDICTIONS, ROBUSTNESS)
PICTURES = (RAW_TEST / "images.npy", EXAMPLES / "images.npy")
"""Files whose first image may serve as an example; train has no images of 8 bits among its deps."""

TEST_PREFIX = "test_"
TESTING = "testing"
"""The use of the test images in a run, in MLflow's words."""


@dataclass(frozen=True)
class DataSet:
    """A data set that a run reads: its use in the words of MLflow, its path and its md5."""

    context: str
    path: Path
    md5: str


@dataclass(frozen=True)
class Times:
    """When an epoch ended, as Unix time in seconds, and how many seconds it took."""

    ended: float
    seconds: float


@dataclass
class Record:
    """The content of an MLflow run. Times are Unix times in seconds.

    Args:
        name: the name of the run.
        origin: commit and DVC experiment, as tags.
        started: when the training started.
        ended: when it ended; None while it runs.
        status: as in MLflow: RUNNING, FINISHED, FAILED, KILLED.
        training: the ID of the training, the same after each resume; empty if it has no journal.
        key: the key of the training, which names its checkpoint.
        run_id: the ID of the MLflow run, if the journal has it.
        store: the store of that run; empty if the journal does not name it.
        process: the training process, as `identity.this_process` identifies it.
        environment: machine and versions; empty if unknown.
        params: the content of params.yaml, as text.
        dataset: the name of the data set.
        hashes: path -> md5 of each dependency of the train stage, as in dvc.lock.
        changes: the uncommitted changes.
        epochs: the history.
        times: epoch -> its times, if known.
        final: metrics of the training, and those of evaluate with the prefix `test_`.
        files: artifact name -> file.
        model: the file of the model, if available.
        onnx: the ONNX file of the model, if available.
        pictures: .npy file of images of the size that the model takes, if available.
        test_md5: the md5 of the test images, if they are evaluated.
        model_md5: the md5 of the model.
    """

    name: str
    origin: dict[str, str]
    started: float
    ended: float | None = None
    status: str = "RUNNING"
    training: str = ""
    key: str = ""
    run_id: str | None = None
    store: str = ""
    process: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    dataset: str = ""
    hashes: dict[str, str] = field(default_factory=dict)
    changes: Changes = field(default_factory=Changes)
    epochs: list[Epoch] = field(default_factory=list)
    times: dict[int, Times] = field(default_factory=dict)
    final: dict[str, float] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    model: Path | None = None
    onnx: Path | None = None
    pictures: Path | None = None
    test_md5: str = ""
    model_md5: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the run."""
        own = {MODEL_TAG: self.model_md5, TRAINING_TAG: self.training, PROCESS_TAG: self.process}
        seed = {"seed": self.params["seed"]} if "seed" in self.params else {}
        return {**self.origin, **self.environment, **seed, **{key: value for key, value in own.items() if value}}

    @property
    def datasets(self) -> list[DataSet]:
        """The data sets whose hash is known."""
        known = [DataSet("training", TRAIN, self.hashes.get(TRAIN.as_posix(), ""))]
        known.append(DataSet(TESTING, RAW_TEST, self.test_md5))
        return [data for data in known if self.dataset and data.md5]

    def add_trained(self, folder: Path) -> None:
        """Add the outputs of train in a folder, which may be of an older version of this project."""
        self.epochs = read_history(folder / HISTORY)
        self.dataset = read_json(folder / MODEL_CARD)["dataset"]
        self.final |= _summary_metrics(read_json(folder / TRAINING))
        self._add_files(folder, _TRAINED)
        self.model = _if_exists(folder / MODEL)
        self.onnx = _if_exists(folder / ONNX_MODEL)
        self.pictures = next(filter(None, (_if_exists(folder / name) for name in PICTURES)), None)

    def add_evaluated(self, folder: Path) -> None:
        """Add the outputs of evaluate in a folder."""
        self.final |= {f"{TEST_PREFIX}{name}": value for name, value in read_json(folder / METRICS).items()}
        self._add_files(folder, _EVALUATED)

    def add_plotted(self, folder: Path) -> None:
        """Add the outputs of plot in a folder."""
        for figure in sorted((folder / FIGURES).glob("*.png")):
            self.files[f"figures/{figure.name}"] = figure
        self._add_files(folder, (REPORT, DESCRIPTION))

    def _add_files(self, folder: Path, names: tuple[Path, ...]) -> None:
        self.files |= {name.name: folder / name for name in names if (folder / name).exists()}


def _if_exists(path: Path) -> Path | None:
    return path if path.exists() else None


def _summary_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics of a training, except those that each epoch has."""
    return {name: value for name, value in metrics.items() if name not in Epoch.__dataclass_fields__}


def of_training(training: str) -> Record | None:
    """Build the record of a training from its journal; None if there is no journal.

    Events that another version of this project wrote may have other values; such events are ignored.
    """
    record: Record | None = None
    for event in journal.read(training):
        with suppress(LookupError, TypeError, ValueError):
            if event.kind == "begin":
                record = _begin(training, event, record)
            elif record:
                _apply(record, event)
    return record


def _begin(training: str, event: Event, before: Record | None) -> Record:
    """Build the record of a training that starts or resumes; a resumed one keeps its run and its epochs."""
    values = event.values
    return Record(
        name=before.name if before else UNKNOWN,
        origin=before.origin if before else NO_EXPERIMENT_TAGS,
        started=before.started if before else event.time,
        training=training,
        key=values["key"],
        run_id=before.run_id if before else None,
        store=before.store if before else "",
        process=values["process"],
        environment=values["environment"],
        params=_as_text(values["params"]),
        hashes=values["hashes"],
        epochs=before.epochs if before else [],
        times=before.times if before else {},
    )


def _apply(record: Record, event: Event) -> None:
    """Add an event to a record."""
    values = event.values
    match event.kind:
        case "origin":
            record.name, record.origin = values["name"], values["tags"]
            record.changes = Changes(values["diff"], tuple(values["new_files"]))
        case "renamed":
            record.name, record.origin = values["name"], record.origin | values["tags"]
        case "epoch":
            epoch = Epoch(**{name: value for name, value in values.items() if name != "seconds"})
            if epoch.epoch in record.times:  # repeated after a kill
                record.epochs = [known for known in record.epochs if known.epoch != epoch.epoch]
            record.epochs.append(epoch)
            record.times[epoch.epoch] = Times(event.time, values["seconds"])
        case "trained":
            record.model_md5, record.dataset = values["model_md5"], values["dataset"]
            record.final = _summary_metrics(values["metrics"])
        case "run":
            record.run_id, record.store = values["run_id"], values.get("store", "")
        case "end":
            record.status, record.ended = values["status"], event.time


def of_trainings() -> list[Record]:
    """Return the records of all journals, oldest first."""
    return [record for training in journal.trainings() if (record := of_training(training))]


def training_seconds(trainings: list[Record], model_md5: str, origin: dict[str, str]) -> float | None:
    """Return the training time in seconds, the sum of its epochs; None if no journal has all of them.

    Args:
        trainings: the records of all journals, oldest first.
        model_md5: the md5 of the model that the training made.
        origin: the tags of the result; of several trainings that made the same model, its own counts, else the last.
    """
    same_model = [made for made in trainings if made.model_md5 == model_md5 and len(made.times) == len(made.epochs) > 0]
    own = [made for made in same_model if experiment_of(made.origin) == experiment_of(origin)]
    last = (own or same_model)[-1:]
    return sum(times.seconds for times in last[0].times.values()) if last else None


def of_folder(folder: Path, name: str, origin: dict[str, str], model_md5: str, stages: tuple[str, ...]) -> Record:
    """Build the record of a trained model from DVC's files and the journal.

    Args:
        folder: a checkout, or a copy of its params.yaml, models/ and reports/.
        name: the name of the run.
        origin: the tags that say where it comes from.
        model_md5: the md5 of the model.
        stages: those of evaluate and plot whose outputs exist and belong to the model.
    """
    params = params_of(folder)
    same_model = [record for record in of_trainings() if record.model_md5 == model_md5]
    own = [r for r in same_model if experiment_of(r.origin) == experiment_of(origin) and agree(r.params, params)]
    if own:
        record = replace(own[-1], status="FINISHED")
    else:
        record = _without_journal(same_model, name, origin, model_md5, written=(folder / HISTORY).stat().st_mtime)
    record.environment = record.environment or identity.read_environment(folder, model_md5)
    record.params = params
    record.add_trained(folder)
    if "evaluate" in stages:
        record.add_evaluated(folder)
    if "plot" in stages:
        record.add_plotted(folder)
    return record


def _without_journal(
    same_model: list[Record], name: str, origin: dict[str, str], model_md5: str, written: float
) -> Record:
    """Build the record of a result that has no journal of its own.

    Times and versions come from another experiment that made the same model, if there is one; its MLflow run does not.
    """
    record = Record(name=name, origin=origin, status="FINISHED", model_md5=model_md5, started=written, ended=written)
    if same_model:
        last = same_model[-1]
        record.started, record.ended, record.times = last.started, last.ended, last.times
        record.environment, record.hashes = last.environment, last.hashes
    return record


def agree(some: dict[str, str], other: dict[str, str]) -> bool:
    """Return whether the params that both have are equal; another version of this project may have other params."""
    return all(other.get(key, value) == value for key, value in some.items())


def params_of(folder: Path) -> dict[str, str]:
    """Read the params of a folder, as text."""
    return _as_text(read_params(folder / PARAMS))


def params_at(commit: str) -> dict[str, str]:
    """Read the params at a commit, as text; empty if the commit or the file does not exist here."""
    if not (text := show(commit, PARAMS)):
        return {}
    with TemporaryDirectory() as folder:
        (Path(folder) / PARAMS).write_text(text)
        return params_of(Path(folder))


def _as_text(params: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in params.items()}
