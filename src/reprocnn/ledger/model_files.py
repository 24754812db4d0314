"""Find the ONNX file of a model: of a DVC experiment or commit, of an MLflow run, or in MLflow's registry."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.errors import UserError
from reprocnn.ledger import registry, revisions, store
from reprocnn.ledger.logged_models import CLASSIFIER
from reprocnn.masking import masked

_UNREGISTERED = re.compile(r"models:/(?:m-[0-9a-f]+|[^/@]+/latest)")
"""URIs that MLflow alone understands: of a logged model, or of the newest version."""
_OLD = "it was made by a version of this project that wrote none"


@contextmanager
def of_revision(revision: str) -> Iterator[Path]:
    """Yield the ONNX file of an experiment or commit, from DVC's cache or a DVC remote.

    Args:
        revision: the name or commit of an experiment, or another commit, branch or tag.

    Raises:
        UserError: there is no such revision, it has no ONNX file, neither cache nor remote have the file, or DVC can't
            use the remote.
    """
    with revisions.open_out(revisions.find(revision), ONNX_MODEL) as file:
        yield file


def of_run(run_id: str) -> Path:
    """Return the ONNX file of an MLflow run, downloaded if its artifacts are on a server.

    Args:
        run_id: the ID of the run, or its first characters.

    Raises:
        UserError: there is no such run, or it has no ONNX file.
    """
    client, _ = store.connect_or_explain()
    run = store.find_run(run_id)
    with store.explain_errors():
        for output in (run.outputs and run.outputs.model_outputs) or []:
            model = client.get_logged_model(output.model_id)
            if model.name == CLASSIFIER and model.status == "READY":
                return _download(f"models:/{model.model_id}")
    raise UserError(
        f"run {run.info.run_id} has no model in ONNX format: it is not complete, or {_OLD}",
        f"`{store.SYNC_COMMAND}` completes runs; `python -m reprocnn predict --rev EXPERIMENT` takes DVC's file",
    )


def of_uri(uri: str) -> Path:
    """Return the ONNX file of a model in MLflow, downloaded if its artifacts are on a server.

    Args:
        uri: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `models:/NAME/latest` in the registry, or
            `models:/MODEL_ID`.

    Raises:
        UserError: the model does not exist, or it has no ONNX file.
    """
    if is_registered(uri):
        return onnx_in(uri, registry.fetch(uri)[1])
    store.connect_or_explain()
    return _download(uri)


def is_registered(uri: str) -> bool:
    """Return whether text is the URI of a version in MLflow's registry, as `registry.fetch` takes it."""
    return uri.startswith("models:/") and not _UNREGISTERED.fullmatch(uri)


def _download(uri: str) -> Path:
    """Return the ONNX file of a logged model."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        return onnx_in(uri, Path(download_artifacts(artifact_uri=uri)))
    except (MlflowException, OSError) as error:
        problem = f"MLflow at {masked(store.tracking_uri())} has no {uri}: {masked(str(error))}"
        fix = f"`{registry.REGISTRY_COMMAND}` lists the registered models with their versions and aliases"
        raise UserError(problem, fix) from None


def onnx_in(uri: str, folder: Path) -> Path:
    """Return the ONNX file in the folder of a model. No code in the model is run.

    Args:
        uri: the URI of the model, for the message.
        folder: the folder, as `registry.fetch` returns it.

    Raises:
        UserError: it has none.
    """
    if file := next(folder.rglob("*.onnx"), None):
        return file
    raise UserError(f"{uri} has no ONNX file", "register the model `classifier` of a run, not its Keras model")
