"""Builds the model, fits it, and writes it with its history; MLflow sees it live."""

import _stage  # isort: split

from reprocnn import backend, paths
from reprocnn.files import read_json, write_csv, write_json, write_model
from reprocnn.models.registry import build
from reprocnn.params import TrainParams, load_params
from reprocnn.tracking import facts, live
from reprocnn.training import checkpoints
from reprocnn.training.fit import fit, load_splits, summary


def main() -> None:
    params = load_params(TrainParams)
    train, validation = load_splits(paths.TRAIN, paths.VALIDATION, params.batch_size)
    statistics = read_json(paths.STATISTICS)
    shape, names = tuple(statistics["image_shape"]), statistics["class_names"]
    backend.prepare(params.seed, params.threads, params.portable)
    model = build(params.model, shape, len(names), params.options(), params.seed)
    read, machine = facts.stage_hashes("train"), facts.environment(backend.gpus(), params.threads)
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
        write_model(paths.MODEL, model)
        write_json(paths.MODEL_CARD, statistics | {"model": params.model})
        write_csv(paths.HISTORY, history)
        write_json(paths.TRAINING, summary(history, model, params.patience))
        run.log_trained()


if __name__ == "__main__":
    _stage.run(main)
