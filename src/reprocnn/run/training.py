"""Give a training its checkpoint and its journal, and show it in MLflow."""

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
    """Yield the checkpoint and the journal of a training, to one process at a time.

    The block must write the files of train. After it, `reports/environment.json` is written beside them.

    Args:
        params: the params that train reads, `threads` among them.
        gpus: the names of the GPUs that TensorFlow uses.
    """
    machine = identity.environment(gpus, params["threads"])
    hashes = identity.stage_hashes("train")
    key = identity.key(params=params, read=hashes, machine=machine)
    with checkpoints.checkpoint(key) as checkpoint:
        training = _begin(checkpoint, key, hashes, machine)
        shown = mirror.NoMirror()
        try:
            shown = mirror.follow_training(training)
            yield checkpoint, Journal(training, shown.wake)
            _end(training, machine)
        except BaseException as error:
            killed = not isinstance(error, Exception)
            journal.append(training, "end", status="KILLED" if killed else "FAILED")
            shown.finish(hurry=killed)
            raise
        shown.finish()


def _begin(checkpoint: Checkpoint, key: str, hashes: dict[str, str], machine: dict[str, str]) -> str:
    """Start a journal, or continue that of an interrupted training; return the ID of the training."""
    params = read_params(PARAMS)
    earlier = [] if checkpoint.fresh else journal.trainings(key[:16])
    training = _interrupted(earlier, params, resumes=checkpoint.exists)
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
    if checkpoint.exists and earlier:  # interrupted with other params of a later stage: the epochs are the same
        for event in journal.read(earlier[-1]):
            if event.kind == "epoch":
                journal.append(training, event.kind, at=event.time, **event.values)
    return training


def _interrupted(earlier: list[str], params: dict[str, Any], *, resumes: bool) -> str:
    """Return the last training with the params if it was interrupted; empty if it ended or there is none.

    Args:
        earlier: IDs of the trainings with the same key, oldest first.
        params: all of params.yaml.
        resumes: True if a checkpoint exists, even one saved after the last epoch.
    """
    for training in reversed(earlier):
        events = journal.read(training)
        begun = [event for event in events if event.kind == "begin"]
        if begun[-1].values.get("params") == params:
            return training if resumes or journal.status(events) in {"RUNNING", "KILLED"} else ""
    return ""


def _end(training: str, machine: dict[str, str]) -> None:
    """Record what train wrote."""
    model_md5 = md5(MODEL)
    identity.write_environment(model_md5, machine)
    made: dict[str, Any] = {"dataset": read_model_card(MODEL_CARD).dataset, "metrics": asdict(read_training(TRAINING))}
    journal.append(training, "trained", model_md5=model_md5, **made)
    journal.append(training, "end", status="FINISHED")
