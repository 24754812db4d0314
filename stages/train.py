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
from reprocnn.models.registry import build
from reprocnn.params import TrainParams, load_params
from reprocnn.run.training import training
from reprocnn.training.fit import fit, load_splits, summary


def main() -> None:
    params = load_params(TrainParams)
    train, validation = load_splits(TRAIN, VALIDATION, params.batch_size)
    statistics = read_json(STATISTICS)
    shape, names = tuple(statistics["image_shape"]), statistics["class_names"]
    backend.prepare(params.seed, params.threads, params.portable)
    model = build(params.model, shape, len(names), params.options(), params.seed)
    with training(params.model_dump(), backend.gpus()) as (checkpoint, journal):
        history = fit(
            model,
            train,
            validation,
            params,
            checkpoint=checkpoint,
            journal=journal,
        )
        write_model(MODEL, model)
        write_json(MODEL_CARD, statistics | {"model": params.model})
        write_csv(HISTORY, history)
        write_json(TRAINING, summary(history, model, params.patience))


if __name__ == "__main__":
    _stage.run("train", main)
