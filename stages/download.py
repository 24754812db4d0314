"""Download or read the data set, verify it, find copies, and write the raw splits in one format."""

import _stage  # isort: split

from reprocnn.artifacts.copies import COPIES, write_copies
from reprocnn.artifacts.corrections import EXCLUDE, RELABEL, read_corrections
from reprocnn.artifacts.dataset import DATASET, write_dataset
from reprocnn.artifacts.split import RAW_TEST, RAW_TRAIN
from reprocnn.data.copies import find_copies
from reprocnn.data.division import card, describe_counts, divide, name_copies
from reprocnn.data.load import load
from reprocnn.data.raw import write_split
from reprocnn.data.title import title
from reprocnn.params import DownloadParams, load_params
from reprocnn.run.downloads import clear_reading, places


def main() -> None:
    params, corrections = load_params(DownloadParams), read_corrections(EXCLUDE, RELABEL)
    data = load(params, places())
    copies = find_copies(data.images)
    division = divide(data, copies, params, corrections)
    print(*division.messages, *describe_counts(division), sep="\n", flush=True)
    write_split(division.data, division.train, RAW_TRAIN)
    write_split(division.data, division.test, RAW_TEST)
    write_copies(COPIES, name_copies(copies, division))
    dataset = card(division, title(params.dataset, params.folder))
    write_dataset(DATASET, dataset)
    clear_reading()
    size = "x".join(map(str, dataset.image_shape))
    print(f"{dataset.dataset}: {dataset.n_train} + {dataset.n_test} images of {size}")


if __name__ == "__main__":
    _stage.run("download", main)
