"""Split the training images, normalise them, and encode the labels as one-hot. Never opens the test split."""

import _stage  # isort: split

import numpy as np

from reprocnn.artifacts.copies import COPIES, read_copies
from reprocnn.artifacts.dataset import DATASET, read_dataset
from reprocnn.artifacts.image_files import read_image_files
from reprocnn.artifacts.split import RAW_TRAIN, TRAIN, VALIDATION, read_split
from reprocnn.artifacts.statistics import STATISTICS, Statistics, write_statistics
from reprocnn.data import preprocessing
from reprocnn.data.validation import validation_images
from reprocnn.params import PreprocessParams, load_params


def main() -> None:
    params = load_params(PreprocessParams)
    dataset, raw = read_dataset(DATASET), read_split(RAW_TRAIN)
    names, files, copies = dataset.class_names, read_image_files(RAW_TRAIN), read_copies(COPIES)
    held_out, message = validation_images(raw.labels, names, files, copies, params)
    print(message)
    train, validation = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    normalization = preprocessing.fit_normalization(raw.images, train, params.normalization)
    for path, indices in ((TRAIN, train), (VALIDATION, validation)):
        preprocessing.write_normalized(path, raw, indices, normalization, len(names))
    shape, white = dataset.image_shape, dataset.white
    write_statistics(STATISTICS, Statistics(dataset.dataset, names, shape, normalization, white))
    print(f"{len(train)} training and {len(validation)} validation images")


if __name__ == "__main__":
    _stage.run("preprocess", main)
