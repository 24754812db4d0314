"""Download or read the data set, verify it, and write the raw splits in one format."""

import _stage  # isort: split

from reprocnn.artifacts.dataset import DATASET, write_dataset
from reprocnn.artifacts.split import RAW_TEST, RAW_TRAIN
from reprocnn.data import raw
from reprocnn.data.load import load
from reprocnn.data.title import title
from reprocnn.params import DownloadParams, load_params
from reprocnn.run.downloads import places


def main() -> None:
    params = load_params(DownloadParams)
    data = load(params, places())
    for line in data.messages:
        print(line, flush=True)
    card = raw.card(data, title(params.dataset, params.folder))
    raw.write_splits(data, RAW_TRAIN, RAW_TEST)
    write_dataset(DATASET, card)
    size = "x".join(map(str, card.image_shape))
    print(f"{card.dataset}: {card.n_train} + {card.n_test} images of {size}")


if __name__ == "__main__":
    _stage.run("download", main)
