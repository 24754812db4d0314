"""Builds the model, fits it, and writes it with its history; MLflow sees it live."""

import _stage  # isort: split

from reprocnn import backend
from reprocnn.artifacts.files import read_json, write_json
from reprocnn.artifacts.history import HISTORY
from reprocnn.artifacts.model import MODEL, write_model
from reprocnn.artifacts.model_card import MODEL_CARD
from reprocnn.artifacts.split import TRAIN, VALIDATION
from reprocnn.artifacts.statistics import STATISTICS
from reprocnn.artifacts.tables import write_csv
from reprocnn.artifacts.training import TRAINING
from reprocnn.ledger import live
from reprocnn.models.build import build, start
from reprocnn.params import TrainParams, load_params
from reprocnn.run import checkpoints
from reprocnn.run.identity import environment, stage_hashes
from reprocnn.training.fit import fit, load_splits, summary


def main() -> None:
    params = load_params(TrainParams)
    train, validation = load_splits(TRAIN, VALIDATION, params.batch_size)
    statistics = read_json(STATISTICS)
    shape, names = tuple(statistics["image_shape"]), statistics["class_names"]
    backend.prepare(params.seed, params.threads, params.portable)
    model = build(params, shape, len(names), params.seed)
    start(params.model, model, train[0])
    read, machine = stage_hashes("train"), environment(backend.gpus(), params.threads)
    key = checkpoints.key(params=params.model_dump(), read=read, machine=machine)
    with (
        checkpoints.checkpoint(key) as checkpoint,
        live.training_run(key, machine, read, resumes=checkpoint.exists, anew=checkpoint.anew) as run,
    ):
        history = fit(
            model,
            train,
            validation,
            params,
            checkpoint=checkpoint,
            on_epoch=run.log_epoch,
        )
        write_model(MODEL, model)
        write_json(MODEL_CARD, statistics | {"model": params.model})
        write_csv(HISTORY, history)
        write_json(TRAINING, summary(history, model, params.patience))
        run.log_trained()


if __name__ == "__main__":
    _stage.run(main)
