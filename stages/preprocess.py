"""Splits the training images, normalises them, makes the labels one-hot. It never opens the test split."""

import _stage  # isort: split

import numpy as np

from reprocnn.artifacts.dataset import DATASET
from reprocnn.artifacts.files import read_json, write_json
from reprocnn.artifacts.split import RAW_TRAIN, TRAIN, VALIDATION, read_split
from reprocnn.artifacts.statistics import STATISTICS
from reprocnn.data import preprocessing, splits
from reprocnn.params import PreprocessParams, load_params


def main() -> None:
    params = load_params(PreprocessParams)
    dataset = read_json(DATASET)
    names = dataset["class_names"]
    images, labels = read_split(RAW_TRAIN)
    fraction, seed = params.validation_fraction, params.split_seed
    held_out = splits.held_out(labels, names, fraction, seed, "validation_fraction")
    train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    normalization = preprocessing.fit_normalization(images, train, params.normalization)
    for path, indices in ((TRAIN, train), (VALIDATION, validation)):
        preprocessing.write_normalized(path, images, labels, indices, normalization, len(names))
    statistics = {key: dataset[key] for key in ("dataset", "class_names", "image_shape")}
    write_json(STATISTICS, statistics | {"normalization": normalization.to_json()})
    print(f"{len(train)} training and {len(validation)} validation images")


if __name__ == "__main__":
    _stage.run("preprocess", main)
