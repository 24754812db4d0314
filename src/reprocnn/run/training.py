"""What surrounds the fit of a model: its identity, its checkpoint, its journal, and the mirror that shows them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import MODEL
from reprocnn.params import PARAMS, read_params
from reprocnn.run import checkpoints, identity, journal, mirror
from reprocnn.run.checkpoints import Checkpoint
from reprocnn.run.journal import Journal


@contextmanager
def training(params: dict[str, Any], gpus: list[str]) -> Iterator[tuple[Checkpoint, Journal]]:
    """Give the checkpoint and the journal of a training, for one process at a time.

    When the block ends well, the files of train are there: `reports/environment.json` is written beside them.

    Args:
        params: what train reads of params.yaml, with `threads`.
        gpus: names of the GPUs that TensorFlow uses.
    """
    machine = identity.environment(gpus, params["threads"])
    hashes = identity.stage_hashes("train")
    key = identity.key(params=params, read=hashes, machine=machine)
    with checkpoints.checkpoint(key) as checkpoint:
        all_params = read_params(PARAMS)
        training = _cut_off(key, all_params, resumes=checkpoint.exists) if not checkpoint.fresh else ""
        training = training or journal.new_id(key)
        journal.append(
            training,
            "begin",
            params=all_params,
            hashes=hashes,
            environment=machine,
            process=identity.this_process(),
        )
        shown = mirror.of_training(training)
        events = Journal(training, shown.wake)
        try:
            yield checkpoint, events
            model_md5 = md5(MODEL)
            identity.write_environment(model_md5, machine)
            events.add("trained", model_md5=model_md5)
        except BaseException as error:
            killed = not isinstance(error, Exception)
            journal.append(training, "end", status="KILLED" if killed else "FAILED")
            shown.finish(hurry=killed)
            raise
        journal.append(training, "end", status="FINISHED")
        shown.finish()


def _cut_off(key: str, params: dict[str, Any], *, resumes: bool) -> str:
    """Return the last training of the key and the params where it was cut off, so that its journal goes on.

    Args:
        key: of the training.
        params: all of params.yaml.
        resumes: whether a checkpoint exists, even one saved after the last epoch.
    """
    for training in reversed(journal.trainings(key[:16])):
        events = journal.read(training)
        begun = [event for event in events if event.kind == "begin"]
        if begun[-1].values.get("params") == params:
            return training if resumes or journal.status(events) in {"RUNNING", "KILLED"} else ""
    return ""
