"""Surround the fit of a model with its checkpoint, its journal and the mirror in MLflow."""

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

    The block writes the outputs of train. When it succeeds, `reports/environment.json` is written for the model.

    Args:
        params: the params of train, including `threads`.
        gpus: the names of the GPUs that TensorFlow uses.
    """
    machine = identity.environment(gpus, params["threads"])
    hashes = identity.stage_hashes("train")
    key = identity.key(params=params, read=hashes, machine=machine)
    with checkpoints.checkpoint(key) as checkpoint:
        training = _begin_journal(checkpoint, key, hashes, machine)
        thread = mirror.NoMirror()
        try:
            thread = mirror.follow_training(training)
            yield checkpoint, Journal(training, thread.wake)
            _end_journal(training, machine)
        except BaseException as error:
            killed = not isinstance(error, Exception)
            journal.append(training, "end", status="KILLED" if killed else "FAILED")
            thread.finish(interrupted=killed)
            raise
        thread.finish()


def _begin_journal(checkpoint: Checkpoint, key: str, hashes: dict[str, str], machine: dict[str, str]) -> str:
    """Begin a journal, or continue the journal of the same training if it was interrupted; return its ID."""
    params = read_params(PARAMS)
    earlier = [] if checkpoint.fresh else journal.trainings(key[:16])
    training = _resumable(earlier, params, resumes=checkpoint.exists)
    values: dict[str, Any] = {
        "key": key,
        "params": params,
        "hashes": hashes,
        "environment": machine,
        "process": identity.this_process(),
    }
    if training:
        journal.append(training, "begin", **values)
        return training
    training = journal.new_id(key)
    journal.append(training, "begin", **values)
    if checkpoint.exists and earlier:  # only params of a later stage differ, so the epochs are the same
        for event in journal.read(earlier[-1]):
            if event.kind == "epoch":
                journal.append(training, event.kind, at=event.time, **event.values)
    return training


def _resumable(earlier: list[str], params: dict[str, Any], *, resumes: bool) -> str:
    """Return the last training with these params if it was interrupted, so that it can be resumed; else "".

    Args:
        earlier: IDs of the trainings with the same key, oldest first.
        params: the content of params.yaml.
        resumes: whether a checkpoint exists, even one saved after the last epoch.
    """
    for training in reversed(earlier):
        events = journal.read(training)
        begins = [event for event in events if event.kind == "begin"]
        if begins[-1].values.get("params") == params:
            return training if resumes or journal.status(events) in {"RUNNING", "KILLED"} else ""
    return ""


def _end_journal(training: str, machine: dict[str, str]) -> None:
    """Write the environment file of the model, and add the outputs of train and the end to the journal."""
    model_md5 = md5(MODEL)
    identity.write_environment(model_md5, machine)
    metrics = asdict(read_training(TRAINING))
    journal.append(
        training, "trained", model_md5=model_md5, dataset=read_model_card(MODEL_CARD).dataset, metrics=metrics
    )
    journal.append(training, "end", status="FINISHED")
