"""Log the models of a run: the classifier, which needs no TensorFlow, and the Keras model."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from reprocnn.artifacts.model import load_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

CLASSIFIER, KERAS = "classifier", "model"
"""Names of the logged models: the ONNX file as a function of image files, and the Keras model."""

_KEY_TAG = "copied.key"
"""Tag of a logged model without a run, by which a repeated copy finds it."""
_SOURCE_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type")
_CODE = "reprocnn_inference"
"""Name of the package with the modules of `reprocnn.inference` in the classifier, as mlflow_model.py imports it."""
_MODEL_FILE = Path(__file__).parents[1] / "inference" / "mlflow_model.py"


class LoggedModels:
    """The logged models of a run, by name.

    A model exists before its files, so that metrics can refer to it. If the upload of the files fails, the next attempt
    uploads them to the same model.

    Args:
        client: client of the store.
        run: the run.
    """

    def __init__(self, client: "MlflowClient", run: "Run") -> None:
        self._client, self._run_id = client, run.info.run_id
        self._found: dict[str, LoggedModel] = {}
        for output in (run.outputs and run.outputs.model_outputs) or []:
            model = self._get(output.model_id)
            if model and not self.is_ready(model.name):  # an older version may have left several, of which one is ready
                self._found[model.name] = model
        self._metrics = {
            name: {m.key: m.value for m in sorted(model.metrics or [], key=lambda metric: metric.timestamp)}
            for name, model in self._found.items()
        }

    def _get(self, model_id: str) -> "LoggedModel | None":
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None  # a user deleted it

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def is_ready(self, name: str) -> bool:
        """Return whether the run has the model with its files."""
        return name in self._found and bool(self._found[name].status == "READY")

    def metrics(self, name: str) -> dict[str, float]:
        """Return the metrics that are linked to a model."""
        return self._metrics.get(name, {})

    def add_metrics(self, name: str, values: dict[str, float]) -> None:
        """Remember metrics that were logged with the ID of a model."""
        self._metrics[name] = self.metrics(name) | values

    def id_of(self, name: str) -> str:
        """Return the ID of a model; create it without files if the run does not have it."""
        return str(self._open(name).model_id)

    def _open(self, name: str) -> "LoggedModel":
        from mlflow.entities import LoggedModelOutput

        if name not in self._found:
            run = self._client.get_run(self._run_id)
            source = {tag: run.data.tags[tag] for tag in _SOURCE_TAGS if tag in run.data.tags}
            # In the experiment of the run: MLflow would use the one that the environment names.
            made = self._client.create_logged_model(run.info.experiment_id, name, self._run_id, source, run.data.params)
            self._client.log_outputs(self._run_id, [LoggedModelOutput(made.model_id, step=0)])
            self._found[name] = made
        return self._found[name]

    def add_classifier(self, onnx: Path, images: Path | None) -> None:
        """Upload the classifier.

        Args:
            onnx: the ONNX file.
            images: .npy file of uint8 (n, height, width, channels), whose first image is the input example; None: the
                model has no example.
        """
        with self._upload(CLASSIFIER) as target:
            save_classifier(onnx, images, **target)

    def add_keras(self, path: Path) -> None:
        """Upload the Keras model, and its layers as the artifact model_summary.txt."""
        from mlflow.models import infer_signature

        from reprocnn.backend import keras, quiet

        keras.config.disable_interactive_logging()  # no progress bar when MLflow tries the example
        model = load_model(path)
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        self._client.log_text(self._run_id, "\n".join(lines), "model_summary.txt")
        example = np.zeros((1, *model.input_shape[1:]), np.float32)
        with self._upload(KERAS) as target, quiet():
            import mlflow.tensorflow  # after `backend`, which imports TensorFlow without its messages

            mlflow.tensorflow.save_model(
                model,
                **target,
                signature=infer_signature(example, model.predict_on_batch(example)),
                input_example=example,
                # Without these, MLflow infers them by loading the model in a new process, which takes 20 to 30 s.
                pip_requirements=_pinned("tensorflow", "keras"),
            )

    def add_copy(self, name: str, folder: Path) -> None:
        """Upload the files of a model that another store has, which are in a folder."""
        self._found[name] = _upload_copy(self._client, self._open(name), folder)

    @contextmanager
    def _upload(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the arguments of `save_model` that say where to; upload what it saved.

        MLflow's `log_model` can't be used: it logs to the active run only, and it tries the example with changed
        environment variables, which is unsafe in a thread.
        """
        from mlflow.models import Model

        logged = self._open(name)
        own = Model(logged.artifact_location, self._run_id, model_uuid=logged.model_id, model_id=logged.model_id)
        with TemporaryDirectory() as folder:
            path = Path(folder) / name
            yield {"path": str(path), "mlflow_model": own}
            self._client.log_model_artifacts(logged.model_id, str(path))
        self._found[name] = self._client.finalize_logged_model(logged.model_id, "READY")


def add_without_run(client: "MlflowClient", experiment_id: str, key: str, folder: Path) -> str:
    """Upload a model that no run has, unless an earlier call did; return its ID.

    Args:
        client: client of the store.
        experiment_id: ID of the MLflow experiment.
        key: what tells the model from others.
        folder: the folder with its files.
    """
    found = client.search_logged_models([experiment_id], filter_string=f"tags.`{_KEY_TAG}` = '{key}'")
    made = found[0] if found else client.create_logged_model(experiment_id, CLASSIFIER, tags={_KEY_TAG: key})
    return str((made if made.status == "READY" else _upload_copy(client, made, folder)).model_id)


def _upload_copy(client: "MlflowClient", logged: "LoggedModel", folder: Path) -> "LoggedModel":
    """Upload the files of a model to a logged model; MLmodel gets its ID and that of its run."""
    from mlflow.models import Model

    if (folder / "MLmodel").exists():
        model = Model.load(str(folder / "MLmodel"))
        model.run_id, model.artifact_path = logged.source_run_id, logged.artifact_location
        model.model_id = model.model_uuid = logged.model_id
        model.save(str(folder / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(folder))
    return client.finalize_logged_model(logged.model_id, "READY")


def save_classifier(onnx: Path, images: Path | None, **target: Any) -> None:
    """Save the classifier to a folder.

    Args:
        onnx: the ONNX file.
        images: .npy file, see `LoggedModels.add_classifier`.
        **target: `path`, the folder, and arguments of `mlflow.pyfunc.save_model`.
    """
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array, DataType

    answer = [
        ColSpec(DataType.string, "class"),
        ColSpec(DataType.double, "confidence"),
        ColSpec(Array(DataType.double), "probabilities"),
    ]
    signature = ModelSignature(Schema([ColSpec(DataType.string, "image")]), Schema(answer))
    example = _example(images)
    target.setdefault("mlflow_model", Model()).signature = signature
    with _copies(onnx) as (package, copied):
        mlflow.pyfunc.save_model(
            **target,
            python_model=str(_MODEL_FILE),
            code_paths=[package],
            artifacts={"onnx": copied},
            # Given a signature without an example, MLflow prints a warning; given neither, it keeps the one above.
            signature=signature if example is not None else None,
            input_example=example,
            pip_requirements=_pinned("onnxruntime", "pillow", "simplejpeg", "numpy"),
        )


def _pinned(*packages: str) -> list[str]:
    return [f"{name}=={version(name)}" for name in packages]


@contextmanager
def _copies(onnx: Path) -> Iterator[tuple[str, str]]:
    """Yield copies of the modules that the Python model imports, as a package, and of the ONNX file.

    MLflow refuses the file itself if it is a symbolic link to DVC's cache, as in a checkout with `cache.type symlink`.
    """
    with TemporaryDirectory() as folder:
        package = Path(folder) / _CODE
        shutil.copytree(_MODEL_FILE.parent, package, ignore=shutil.ignore_patterns("__pycache__", _MODEL_FILE.name))
        yield str(package), shutil.copy(onnx, folder)


def _example(images: Path | None) -> Any:
    """Return the input example: a table with the first image as PNG in base64; None if there is no image."""
    import pandas as pd
    from PIL import Image

    first = np.load(images, mmap_mode="r", allow_pickle=False)[:1] if images else []
    if not len(first):
        return None
    png = BytesIO()
    pixels = np.asarray(first[0])
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(png, "PNG")
    # Not pandas' own type of text: MLflow compares the names with a range, of which pandas 3 then warns.
    names = pd.Index(["image"], dtype=object)
    return pd.DataFrame([[base64.b64encode(png.getvalue()).decode()]], columns=names)
