"""The MLflow view of a run. DVC's files are the truth: a tracker that fails is left out, and the run goes on.

MLflow is imported where it is used: the import takes seconds.
"""

import functools
import hashlib
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from reprocnn import paths
from reprocnn.files import md5, read_csv, read_json
from reprocnn.params import read_params

if TYPE_CHECKING:
    import keras
    import numpy as np
    from mlflow import MlflowClient
    from numpy.typing import NDArray

EXPERIMENT = "reprocnn"
MODEL_TAG, EXPERIMENT_TAG, BASELINE_TAG = "model.md5", "dvc.exp.name", "dvc.exp.baseline_rev"
NO_EXPERIMENT = "none"
"""The value of EXPERIMENT_TAG outside of `dvc exp run`."""

_PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "dvc", "mlflow")
_TRAINED = (paths.HISTORY, paths.MODEL_CARD, paths.TRAINING)
_GENERATED = (":!reports", ":!dvc.lock")

# Defaults for the tracker; a user's own settings win. A server that is down may cost seconds, not minutes.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}

Method = TypeVar("Method", bound=Callable[..., None])


def repository() -> Path:
    """The user's checkout, also from a `--temp` or `--queue` experiment, which works in a copy."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the SQLite store in the checkout. Never relative: an experiment's folder goes away."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{repository() / uri.removeprefix('sqlite:///')}"
    return uri


def connect() -> tuple["MlflowClient", str]:
    """A client of the store and the id of the experiment in it; each is made where it is missing.

    Of several processes that start on a store that does not exist, one makes it and the others wait.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow

    uri = tracking_uri()
    mlflow.set_tracking_uri(uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    if not uri.startswith("sqlite:///"):
        return mlflow.MlflowClient(), mlflow.set_experiment(name).experiment_id
    from filelock import FileLock

    database = Path(uri.removeprefix("sqlite:///"))
    (repository() / ".dvc" / "tmp").mkdir(parents=True, exist_ok=True)
    with FileLock(repository() / ".dvc" / "tmp" / "mlflow.lock"):
        _prepare_sqlite(database)
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            artifacts = (repository() / "mlartifacts").as_uri()
            # The tag makes the UI open with the runs, not with its pages for language models.
            kind = {"mlflow.experimentKind": "custom_model_development"}
            client.create_experiment(name, artifact_location=artifacts, tags=kind)
        elif experiment.lifecycle_stage == "deleted":  # in the UI, where the next run would have no place
            client.restore_experiment(experiment.experiment_id)
    return client, mlflow.set_experiment(name).experiment_id


def _prepare_sqlite(database: Path) -> None:
    """Let several processes write at once; the setting stays in the file."""
    import sqlite3
    from contextlib import closing

    if not database.exists():
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _unless_down(method: Method) -> Method:
    """Do nothing in a null run; where the tracker fails, say so once and become one."""

    @functools.wraps(method)
    def guarded(self: "Run", *args: Any, **kwargs: Any) -> None:
        if self.run_id:
            try:
                method(self, *args, **kwargs)
            except Exception as error:
                _warn(error)
                self.run_id = None

    return guarded  # type: ignore[return-value]


def _warn(error: Exception) -> None:
    reason = " ".join(str(error).split())[:200]
    print(masked(f"warning: MLflow at {tracking_uri()} failed, the run goes on without: {reason}"), file=sys.stderr)


class Run:
    """An MLflow run that a stage adds to; without an id, the null run: the same methods, which do nothing."""

    def __init__(self, client: Any = None, run_id: str | None = None) -> None:
        self.client, self.run_id = client, run_id

    @_unless_down
    def log_start(self, dataset: str) -> None:
        """Params, data set, files that make the run repeatable."""
        import mlflow.entities as e

        params = [e.Param(key, str(value)) for key, value in read_params().items()]
        self.client.log_batch(self.run_id, params=params)
        digest = hashlib.md5("".join(map(md5, sorted(paths.TRAIN.iterdir()))).encode()).hexdigest()
        data = e.Dataset(dataset, digest, "dvc", str(paths.TRAIN))
        self.client.log_inputs(self.run_id, [e.DatasetInput(data, [e.InputTag("mlflow.data.context", "training")])])
        for name in (paths.PARAMS, "dvc.yaml"):
            self.client.log_artifact(self.run_id, str(name))
        if diff := uncommitted():
            self.client.log_text(self.run_id, masked(diff), "uncommitted.diff")

    @_unless_down
    def log_summary(self, model: "keras.Model") -> None:
        """The model's layers as a table, and its number of weights."""
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        self.client.log_text(self.run_id, "\n".join(lines), "model_summary.txt")
        self.client.log_metric(self.run_id, "parameters", model.count_params())

    @_unless_down
    def log_epoch(self, epoch: int, row: dict[str, float], seconds: float) -> None:
        """An epoch, as it ends; `epoch` from 1."""
        self._log_metrics(row | {"epoch_seconds": seconds}, epoch)

    @_unless_down
    def log_trained(self, model: "keras.Model", example: "NDArray[np.float32]") -> None:
        """The model, its hash, by which evaluate and plot find the run, the hashes of what train read and made."""
        import mlflow.tensorflow
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        from reprocnn import backend

        self.client.set_tag(self.run_id, MODEL_TAG, md5(paths.MODEL))
        self.client.log_dict(self.run_id, stage_hashes("train"), "hashes.json")
        for path in _TRAINED:
            self.client.log_artifact(self.run_id, str(path))
        signature = ModelSignature(
            inputs=Schema([TensorSpec(example.dtype, (-1, *model.input_shape[1:]))]),
            outputs=Schema([TensorSpec(example.dtype, (-1, *model.output_shape[1:]))]),
        )
        backend.keras.config.disable_interactive_logging()  # MLflow tries the example: no bar for that
        with backend.quiet():
            mlflow.tensorflow.log_model(
                model,
                name="model",
                signature=signature,
                input_example=example,
                # Without these MLflow finds them out by loading the model in a new process, which takes 20 to 30 s.
                pip_requirements=[f"{name}=={version(name)}" for name in ("tensorflow", "keras")],
            )

    @_unless_down
    def log_evaluated(self) -> None:
        """The test metrics and the tables of evaluate."""
        metrics = {f"test_{name}": value for name, value in read_json(paths.METRICS).items()}
        self._log_metrics(metrics, step=0)
        for path in (paths.METRICS, paths.PER_CLASS, paths.CONFUSION_MATRIX, paths.PREDICTIONS):
            self.client.log_artifact(self.run_id, str(path))

    @_unless_down
    def log_plotted(self) -> None:
        """Every figure, and the report."""
        self.client.log_artifacts(self.run_id, str(paths.FIGURES), "figures")
        self.client.log_artifact(self.run_id, str(paths.REPORT))

    @_unless_down
    def log_made(self) -> None:
        """All that stands in the workspace, for a run that was not live: history, test metrics, figures."""
        for row in read_csv(paths.HISTORY).to_dict("records"):
            epoch = int(row.pop("epoch"))
            self._log_metrics(row, epoch)
        for path in _TRAINED:
            self.client.log_artifact(self.run_id, str(path))
        if paths.METRICS.exists():
            self.log_evaluated()
        if paths.REPORT.exists():
            self.log_plotted()

    def _log_metrics(self, values: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self.client.log_batch(self.run_id, metrics)


@contextmanager
def training_run(dataset: str, seed: int, gpus: list[str]) -> Iterator[Run]:
    """The MLflow run of a training; it ends as finished, failed, or killed (SIGTERM, Ctrl-C).

    Args:
        dataset: its name.
        seed: of the training.
        gpus: their names.
    """
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    run = _started(dataset, tags() | {"seed": str(seed), "gpu": ", ".join(gpus) or "none"})
    try:
        yield run
    except BaseException as error:
        _end(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    _end(run, "FINISHED")


def _exit_on_sigterm(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _started(dataset: str, run_tags: dict[str, str]) -> Run:
    try:
        client, experiment_id = connect()
        import mlflow

        active = mlflow.start_run(
            experiment_id=experiment_id,
            run_name=run_name(),
            tags=run_tags,
            log_system_metrics=True,
        )
        run = Run(client, active.info.run_id)
    except Exception as error:
        _warn(error)
        return Run()
    run.log_start(dataset)
    return run


def _end(run: Run, status: str) -> None:
    if run.client:
        import mlflow

        with suppress(Exception):  # a tracker that went down must not fail the stage
            mlflow.end_run(status)


def run_of_model() -> Run:
    """The run that made the model of the workspace, or else a new one.

    It is the newest with the model's hash and this DVC experiment. Outside of an experiment any run with the hash will
    do. It is attached to by a client alone: starting it again would change its status.
    """
    try:
        client, experiment_id = connect()
        model = f"tags.`{MODEL_TAG}` = '{md5(paths.MODEL)}'"
        name = os.environ.get("DVC_EXP_NAME", NO_EXPERIMENT)
        filters = [f"{model} and tags.`{EXPERIMENT_TAG}` = '{name}'"]
        if name == NO_EXPERIMENT:
            filters.append(model)
        for query in filters:
            newest = ["attributes.start_time DESC"]
            if runs := client.search_runs([experiment_id], query, max_results=1, order_by=newest):
                return Run(client, runs[0].info.run_id)
        made_by = tags() | {MODEL_TAG: md5(paths.MODEL)}
        info = client.create_run(experiment_id, tags=made_by, run_name=run_name()).info
        run = Run(client, info.run_id)
        run.log_start(read_json(paths.MODEL_CARD)["dataset"])
        run.log_made()
        client.set_terminated(info.run_id)
        return run
    except Exception as error:
        _warn(error)
        return Run()


def run_name() -> str:
    """The DVC experiment, or branch and commit."""
    branch = _git("rev-parse", "--abbrev-ref", "HEAD") or "no-git"
    commit = _git("rev-parse", "--short", "HEAD") or "no-commit"
    return os.environ.get("DVC_EXP_NAME") or f"{branch}@{commit}"


def tags() -> dict[str, str]:
    """What a result may depend on and no file of DVC's holds: versions, hardware, commit."""
    return {
        "git.commit": _git("rev-parse", "HEAD") or "none",
        "git.dirty": str(bool(uncommitted())).lower(),
        EXPERIMENT_TAG: os.environ.get("DVC_EXP_NAME", NO_EXPERIMENT),
        BASELINE_TAG: os.environ.get("DVC_EXP_BASELINE_REV", "none"),
        "cpu": cpu_name(),
        "threads": str(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()),
        "platform": platform.platform(),
        "version.python": platform.python_version(),
        **{f"version.{name}": version(name) for name in _PACKAGES},
    }


def cpu_name() -> str:
    """The name of the processor."""
    with suppress(OSError):
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _git(*arguments: str, **environment: str) -> str:
    """What git prints, empty where it fails or is not there."""
    with suppress(OSError):
        own = os.environ | environment
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, errors="replace", env=own)
        return done.stdout.strip() if done.returncode == 0 else ""
    return ""


@functools.cache
def uncommitted() -> str:
    """The changes since the last commit, but for generated files; new files by name.

    Compared by content, with an index of our own: after `dvc exp run` the user's index may take a params.yaml of the
    same size and second for unchanged.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        _git("read-tree", "HEAD", **index)
        changed = _git("diff", "HEAD", "--", ".", *_GENERATED, **index)
        new = _git("ls-files", "--others", "--exclude-standard", "--", ".", *_GENERATED, **index)
    return changed + "".join(f"\nnew file: {name}" for name in new.splitlines())


_NAMES = r"password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credential"
_SECRETS = (
    # A name that says secret, and the rest of its line: `name = ...`, `name: ...`, `--name ...`
    re.compile(rf"(?i)([\w.-]*(?:{_NAMES}|authorization)[\w.-]*[\"']?\s*[:=]\s*).+"),
    re.compile(rf"(?i)(--[\w-]*(?:{_NAMES})[\w-]*\s+).+"),
    re.compile(r"(?i)(\bbearer\s+)\S+"),
    # Values that are secrets wherever they stand: AWS, GitHub, GitLab, Slack, OpenAI, Hugging Face, JSON web tokens
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\b(?:gh[pousr]_|github_pat_|glpat-|xox[abp]-|sk-|hf_|eyJ)[\w.-]{16,}"),
    re.compile(r"(\w+://)[^\s/@]+(?=@)"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?=-----END|\Z)"),
)


def masked(text: str) -> str:
    """The text with what looks like a secret replaced by ***."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def stage_hashes(stage: str) -> dict[str, dict[str, str]]:
    """The md5 of every file that a stage of dvc.yaml reads and makes, as DVC records them."""
    definition = read_params(Path("dvc.yaml"))["stages"][stage]
    made = [*definition["outs"], *definition.get("metrics", [])]
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in made]
    return {"deps": _hashes(definition["deps"]), "outs": _hashes(outs)}


def _hashes(names: list[str]) -> dict[str, str]:
    files = [f for name in names for f in (sorted(Path(name).rglob("*")) if Path(name).is_dir() else [Path(name)])]
    return {f.as_posix(): md5(f) for f in files if f.is_file() and "__pycache__" not in f.parts}
