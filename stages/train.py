"""Builds the model, fits it, and writes it with its history; MLflow sees it live."""

import _stage  # isort: split

from reprocnn import backend, paths, tracking
from reprocnn.files import read_json, write_csv, write_json, write_model
from reprocnn.models.registry import build
from reprocnn.params import TrainParams, load_params
from reprocnn.training.fit import fit, load_splits, summary


def main() -> None:
    params = load_params(TrainParams)
    train, validation = load_splits(paths.TRAIN, paths.VALIDATION, params.batch_size)
    statistics = read_json(paths.STATISTICS)
    shape, names = tuple(statistics["image_shape"]), statistics["class_names"]
    backend.prepare(params.seed)
    model = build(params.model, shape, len(names), params.options())
    with tracking.training_run(statistics["dataset"], params.seed, backend.gpus()) as run:
        run.log_summary(model)
        history = fit(
            model,
            train,
            validation,
            epochs=params.epochs,
            batch_size=params.batch_size,
            learning_rate=params.learning_rate,
            seed=params.seed,
            on_epoch=run.log_epoch,
        )
        write_model(paths.MODEL, model)
        write_json(paths.MODEL_CARD, statistics | {"model": params.model})
        write_csv(paths.HISTORY, history)
        write_json(paths.TRAINING, summary(history, model))
        run.log_trained(model, train[0][:2])


if __name__ == "__main__":
    _stage.run(main)
