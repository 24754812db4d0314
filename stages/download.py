"""Gets the raw data of `dataset` and writes it, verified, in one fixed form."""

import _stage  # isort: split

from reprocnn.artifacts.dataset import DATASET
from reprocnn.artifacts.split import RAW_TEST, RAW_TRAIN
from reprocnn.data import raw, registry
from reprocnn.data.title import title
from reprocnn.params import DownloadParams, load_params


def main() -> None:
    params = load_params(DownloadParams)
    data = registry.load(params)
    for line in data.reading:
        print(line, flush=True)
    name = title(params.dataset, params.folder)
    raw.write_raw(data, name, RAW_TRAIN, RAW_TEST, DATASET)
    n_test = int(data.is_test.sum())
    size = "x".join(map(str, data.image_shape))
    print(f"{name}: {len(data.labels) - n_test} + {n_test} images of {size}")


if __name__ == "__main__":
    _stage.run(main)
