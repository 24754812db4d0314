"""The record of a training: all that its MLflow run shows, as far as it is known.

While a training runs, its record is kept outside of DVC's outs, as the journal: it has what those must not hold. For
a result that DVC restored, or that was pulled, the record is made from DVC's files, and the journal if there is one.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from reprocnn.artifacts.figures import FIGURES, REPORT
from reprocnn.artifacts.files import durable_file, read_json
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.predictions import PREDICTIONS
from reprocnn.artifacts.scores import CONFUSION_MATRIX, METRICS, PER_CLASS
from reprocnn.artifacts.tables import read_csv
from reprocnn.artifacts.training import TRAINING
from reprocnn.ledger.origin import BASELINE_TAG, EXPERIMENT_TAG, NO_EXPERIMENT
from reprocnn.params import PARAMS, read_params
from reprocnn.run import locks
from reprocnn.run.identity import ENVIRONMENT
from reprocnn.run.state import kept

MODEL_TAG, TRAINING_TAG, RESTORED_TAG, PROCESS_TAG = "model.md5", "training.id", "restored", "process"
Row = dict[str, float]

_TRAINED = (PARAMS, Path("dvc.yaml"), HISTORY, MODEL_CARD, TRAINING)
_EVALUATED = (METRICS, PER_CLASS, CONFUSION_MATRIX, PREDICTIONS)


class Record(BaseModel):
    """What a run has. Times are Unix times in seconds."""

    name: str
    """Of the run."""
    origin: dict[str, str]
    """Commit and DVC experiment."""
    started: float
    ended: float | None = None
    status: str = "RUNNING"
    """In MLflow's words: RUNNING, FINISHED, FAILED, KILLED."""
    training: str = ""
    """The id of one training, however often it was cut off; empty where no journal tells of it."""
    run_id: str | None = None
    """The MLflow run, where the journal has it."""
    process: str = ""
    """Host, number and start of the process that trains."""
    environment: dict[str, str] = {}
    """Machine and versions; empty where they are not known."""
    params: dict[str, str] = {}
    dataset: str = ""
    hashes: dict[str, str] = {}
    """The md5 of what the train stage reads, by path, in the way of dvc.lock."""
    changes: str = ""
    """What was not committed."""
    rows: list[Row] = []
    """The history, with `seconds` and `ended` of each epoch where they are known."""
    final: dict[str, float] = {}
    """Metrics of the whole: of train, and with `test_` of evaluate."""
    files: dict[str, Path] = {}
    """Artifacts by their names."""
    model: Path | None = None
    model_md5: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the run."""
        own = {MODEL_TAG: self.model_md5, TRAINING_TAG: self.training, PROCESS_TAG: self.process}
        seed = {"seed": self.params["seed"]} if "seed" in self.params else {}
        return {**self.origin, **self.environment, **seed, **{key: value for key, value in own.items() if value}}

    def add_trained(self, folder: Path) -> None:
        """Take what train left in a folder."""
        self.dataset = read_json(folder / MODEL_CARD)["dataset"]
        chosen = read_json(folder / TRAINING).items()
        self.final |= {name: value for name, value in chosen if name not in self.rows[-1]}
        self._add_files(folder, _TRAINED)
        if (folder / MODEL).exists():
            self.model = folder / MODEL

    def add_evaluated(self, folder: Path) -> None:
        """Take what evaluate left in a folder."""
        self.final |= {f"test_{name}": value for name, value in read_json(folder / METRICS).items()}
        self._add_files(folder, _EVALUATED)

    def add_plotted(self, folder: Path) -> None:
        """Take what plot left in a folder."""
        for figure in sorted((folder / FIGURES).glob("*.png")):
            self.files[f"figures/{figure.name}"] = figure
        self._add_files(folder, (REPORT,))

    def _add_files(self, folder: Path, names: tuple[Path, ...]) -> None:
        self.files |= {name.name: folder / name for name in names if (folder / name).exists()}


def of_folder(folder: Path, name: str, origin: dict[str, str], model_md5: str, stages: tuple[str, ...]) -> Record:
    """The record of a trained model from DVC's files and the journal.

    Args:
        folder: a checkout, or a copy of its params.yaml, models/ and reports/.
        name: of the run.
        origin: tags that say where it comes from.
        model_md5: of its model.
        stages: of evaluate and plot, those whose outs are there and belong to the model.
    """
    written = (folder / HISTORY).stat().st_mtime
    journals = [j for j in read_journals() if j.model_md5 == model_md5]
    params = params_of(folder)
    own = [j for j in journals if _origin(j.origin) == _origin(origin) and agree(j.params, params)]
    if own:
        record = own[-1].model_copy(update={"status": "FINISHED"})
    else:
        # The journal of another experiment that made the same bytes tells of times and versions; its run is not ours.
        made = journals[-1] if journals else Record(name=name, origin={}, started=written, ended=written)
        known = {key: getattr(made, key) for key in ("started", "ended", "environment", "hashes", "rows")}
        record = Record(name=name, origin=origin, status="FINISHED", model_md5=model_md5, **known)
    record.environment = record.environment or environment_of(folder, model_md5)
    record.params = params
    times = {row["epoch"]: row for row in record.rows}
    history = read_csv(folder / HISTORY).to_dict("records")
    record.rows = [times.get(row["epoch"], {}) | row for row in history]
    record.add_trained(folder)
    if "evaluate" in stages:
        record.add_evaluated(folder)
    if "plot" in stages:
        record.add_plotted(folder)
    return record


def _origin(tags: dict[str, str]) -> tuple[str, ...]:
    return tuple(tags.get(name, NO_EXPERIMENT) for name in (EXPERIMENT_TAG, BASELINE_TAG))


def agree(some: dict[str, str], other: dict[str, str]) -> bool:
    """Whether the params that both have are equal: this project may have got others since."""
    return all(other.get(key, value) == value for key, value in some.items())


def params_of(folder: Path) -> dict[str, str]:
    """The params of a folder as MLflow holds them."""
    return {key: str(value) for key, value in read_params(folder / PARAMS).items()}


def environment_of(folder: Path, model_md5: str) -> dict[str, str]:
    """The machine and the versions that made the model of a folder; empty where they are not known."""
    file = folder / ENVIRONMENT
    found: dict[str, Any] = read_json(file) if file.exists() else {}
    # The file is no out of DVC's, so that it may stand beside another training's outs.
    return found if found.pop(MODEL_TAG, None) == model_md5 else {}


def write_journal(record: Record) -> None:
    """Keep the record of a training; a disk that is full does not end the training."""
    text = record.model_dump_json(indent=1, exclude={"files", "model"})
    with suppress(OSError), durable_file(kept("journal") / f"{record.training}.json") as partial:
        partial.write_text(text)


def read_journals(key: str = "") -> list[Record]:
    """The journals, the oldest first.

    Args:
        key: of one training, with which the ids of its journals begin; or else all.
    """
    found = []
    for path in kept("journal").glob(f"{key}*.json"):
        with suppress(OSError, ValidationError):  # removed meanwhile, or of another version of this project
            found.append(Record.model_validate_json(path.read_bytes()))
    return sorted(found, key=lambda record: record.started)


def rename_journal(training: str, other: Record) -> None:
    """Set the name and the origin in a training's journal to those of another record of the same result."""
    for journal in read_journals(training) if training else []:
        write_journal(journal.model_copy(update={"name": other.name, "origin": journal.origin | other.origin}))


def is_going_on(journal: Record) -> bool:
    """Whether a process holds the lock of a training; the system frees it however the process ends."""
    locks_ = kept("checkpoints").glob(f"{journal.training.rpartition('-')[0]}*.lock")
    return any(map(locks.holder, locks_))


def forget_checkpoint(model_md5: str) -> None:
    """Remove the checkpoint of a training whose model DVC has recorded."""
    for journal in read_journals():
        if journal.model_md5 == model_md5 and not is_going_on(journal):
            for folder in kept("checkpoints").glob(f"{journal.training.rpartition('-')[0]}*/"):
                shutil.rmtree(folder, ignore_errors=True)
