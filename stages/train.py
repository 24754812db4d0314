"""Build the model, train it, and write it with its history and metrics."""

import _stage  # isort: split

from dataclasses import asdict, replace
from functools import partial

from reprocnn import backend
from reprocnn.artifacts.files import md5
from reprocnn.artifacts.history import HISTORY, write_history
from reprocnn.artifacts.model import MODEL, ONNX_MODEL, write_model
from reprocnn.artifacts.model_card import MODEL_CARD, ModelCard, write_model_card
from reprocnn.artifacts.split import TRAIN, VALIDATION, read_split
from reprocnn.artifacts.statistics import STATISTICS, read_statistics
from reprocnn.artifacts.training import TRAINING, write_training
from reprocnn.data.normalization import raw_batches
from reprocnn.evaluation.calibration import calibrate
from reprocnn.export.difference import predictions
from reprocnn.export.onnx_file import export_onnx
from reprocnn.inference.info import ModelInfo
from reprocnn.models.build import build, initialize
from reprocnn.params import TrainParams, load_params
from reprocnn.run.training import training
from reprocnn.training.fit import check_batch_size, fit
from reprocnn.training.summary import summary


def main() -> None:
    params = load_params(TrainParams)
    train, validation, statistics = read_split(TRAIN), read_split(VALIDATION), read_statistics(STATISTICS)
    card = ModelCard(statistics.dataset, params.model, statistics.class_names, statistics.image_shape, statistics.white)
    shape, n_classes = card.image_shape, len(card.class_names)
    check_batch_size(params.batch_size, len(train.images))  # fit checks it too, but only after the MLflow run exists
    backend.prepare(params.seed, params.threads, params.portable)
    core = build(params, shape, n_classes, params.seed)
    initialize(params.model, core, train.images)
    saved = build(params, shape, n_classes, params.seed, statistics.normalization)
    with training(params.model_dump(), backend.gpus()) as (checkpoint, journal):
        history = fit(core, train, validation, params, checkpoint=checkpoint, journal=journal)
        saved.set_weights(core.get_weights())
        write_model(MODEL, saved)
        raw = partial(raw_batches, validation.images, statistics.normalization)
        probabilities = predictions(saved, raw())
        card = replace(card, **calibrate(probabilities, validation.labels.argmax(axis=1))._asdict())
        write_model_card(MODEL_CARD, card)
        info = ModelInfo(**asdict(card), keras_md5=md5(MODEL))
        largest = export_onnx(ONNX_MODEL, saved, info, raw(), probabilities, threads=params.threads)
        write_history(HISTORY, history)
        write_training(TRAINING, summary(history, core, params.patience, largest))


if __name__ == "__main__":
    _stage.run("train", main)
