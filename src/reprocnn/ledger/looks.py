"""Count the models that test images were shown to."""

from typing import TYPE_CHECKING

from reprocnn.errors import UserError
from reprocnn.ledger import registry, revisions, store
from reprocnn.ledger.mirror import CONTEXT_TAG
from reprocnn.ledger.origin import experiment_of
from reprocnn.ledger.record import MODEL_TAG, TESTING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def other_models(client: "MlflowClient", experiment_id: str, test_md5: str, model_md5: str) -> int:
    """Count the other models that were evaluated on the same test images.

    They are those of MLflow runs, also of deleted ones, of DVC experiments, HEAD and the workspace, and of versions in
    MLflow's registry. A model counts once, even if several of these have it.

    Args:
        client: client of the store.
        experiment_id: ID of the MLflow experiment with the runs.
        test_md5: the md5 of the test images.
        model_md5: the md5 of the model that does not count.
    """
    runs = list(store.all_runs(client, experiment_id, deleted=True))
    found = {run.data.tags.get(MODEL_TAG, run.info.run_id) for run in runs if test_md5 in _tested(run)}
    known = {experiment_of(run.data.tags) for run in runs}
    found |= _of_results(test_md5, known)
    found |= {
        version.tags[MODEL_TAG]
        for version in registry.versions(client)
        if version.tags.get(registry.TEST_DATA_TAG) == test_md5
    }
    return len(found - {model_md5})


def _tested(run: "Run") -> set[str]:
    """Return the md5 of the test images of a run."""
    inputs = (run.inputs and run.inputs.dataset_inputs) or []
    return {one.dataset.digest for one in inputs for tag in one.tags if (tag.key, tag.value) == (CONTEXT_TAG, TESTING)}


def _of_results(test_md5: str, known: set[tuple[str, str]]) -> set[str]:
    """Return the md5 of the models of DVC's results that were evaluated on test images.

    Args:
        test_md5: the md5 of the test images.
        known: the experiments that have a run; they are not read, because this takes a tenth of a second for each.
    """
    results = [experiment for experiment in revisions.experiments() if experiment_of(experiment.origin) not in known]
    found = set()
    for result in (*results, revisions.find("HEAD"), revisions.workspace()):
        try:
            found |= {result.tested_model_md5} if result.test_md5 == test_md5 else set()
        except UserError:  # no dvc.lock, or one that can't be read
            continue
    return found
