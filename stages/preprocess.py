"""Splits the training images, normalises them, makes the labels one-hot. It never opens the test split."""

import _stage  # isort: split

import numpy as np

from reprocnn import paths
from reprocnn.data import preprocessing, splits
from reprocnn.files import read_json, read_split, write_json
from reprocnn.params import PreprocessParams, load_params


def main() -> None:
    params = load_params(PreprocessParams)
    dataset = read_json(paths.DATASET)
    names = dataset["class_names"]
    images, labels = read_split(paths.RAW_TRAIN)
    fraction, seed = params.validation_fraction, params.split_seed
    held_out = splits.held_out(labels, names, fraction, seed, "validation_fraction")
    train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    normalization = preprocessing.fit_normalization(images, train, params.normalization)
    for path, indices in ((paths.TRAIN, train), (paths.VALIDATION, validation)):
        preprocessing.write_normalized(path, images, labels, indices, normalization, len(names))
    statistics = {key: dataset[key] for key in ("dataset", "class_names", "image_shape")}
    write_json(paths.STATISTICS, statistics | {"normalization": normalization.to_json()})
    print(f"{len(train)} training and {len(validation)} validation images")


if __name__ == "__main__":
    _stage.run(main)
