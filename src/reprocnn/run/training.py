"""What surrounds the fit of a model: its identity, its checkpoint, its journal, and the mirror that shows them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from reprocnn.artifacts.files import md5
from reprocnn.artifacts.model import MODEL
from reprocnn.artifacts.model_card import MODEL_CARD, read_model_card
from reprocnn.artifacts.training import TRAINING, read_training
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
        training = _begin(checkpoint, key, hashes, machine)
        shown = mirror.NoMirror()
        try:
            shown = mirror.of_training(training)
            yield checkpoint, Journal(training, shown.wake)
            _end(training, machine)
        except BaseException as error:
            killed = not isinstance(error, Exception)
            journal.append(training, "end", status="KILLED" if killed else "FAILED")
            shown.finish(hurry=killed)
            raise
        shown.finish()


def _begin(checkpoint: Checkpoint, key: str, hashes: dict[str, str], machine: dict[str, str]) -> str:
    """Begin a journal, or go on with that of the same training where it was cut off; return its id."""
    params = read_params(PARAMS)
    earlier = [] if checkpoint.fresh else journal.trainings(key[:16])
    training = _cut_off(earlier, params, resumes=checkpoint.exists)
    begun: dict[str, Any] = {
        "key": key,
        "params": params,
        "hashes": hashes,
        "environment": machine,
        "process": identity.this_process(),
    }
    if training:
        journal.append(training, "begin", **begun)
        return training
    training = journal.new_id(key)
    journal.append(training, "begin", **begun)
    if checkpoint.exists and earlier:  # cut off with other params of a later stage: the epochs are the same
        for event in journal.read(earlier[-1]):
            if event.kind == "epoch":
                journal.append(training, event.kind, at=event.time, **event.values)
    return training


def _cut_off(earlier: list[str], params: dict[str, Any], *, resumes: bool) -> str:
    """Return the last training with the params where it was cut off, so that its journal goes on; else nothing.

    Args:
        earlier: ids of the trainings of the same key, the oldest first.
        params: all of params.yaml.
        resumes: whether a checkpoint exists, even one saved after the last epoch.
    """
    for training in reversed(earlier):
        events = journal.read(training)
        begun = [event for event in events if event.kind == "begin"]
        if begun[-1].values.get("params") == params:
            return training if resumes or journal.status(events) in {"RUNNING", "KILLED"} else ""
    return ""


def _end(training: str, machine: dict[str, str]) -> None:
    """Note what train wrote."""
    model_md5 = md5(MODEL)
    identity.write_environment(model_md5, machine)
    made: dict[str, Any] = {"dataset": read_model_card(MODEL_CARD).dataset, "metrics": asdict(read_training(TRAINING))}
    journal.append(training, "trained", model_md5=model_md5, **made)
    journal.append(training, "end", status="FINISHED")
