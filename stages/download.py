"""Gets the raw data of `dataset` and writes it, verified, in one fixed form."""

import _stage  # isort: split

import sys

from reprocnn import paths
from reprocnn.data import raw, registry
from reprocnn.params import DownloadParams, load_params


def main() -> None:
    params = load_params(DownloadParams)
    data = registry.load(params)
    for line in data.reading:
        say(line)
    raw.write_raw(data, params.title, paths.RAW_TRAIN, paths.RAW_TEST, paths.DATASET)
    n_test = int(data.is_test.sum())
    size = "x".join(map(str, data.image_shape))
    say(f"{params.title}: {len(data.labels) - n_test} + {n_test} images of {size}")


def say(line: str) -> None:
    """Print a line at once; the names in it may have letters that the terminal's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)


if __name__ == "__main__":
    _stage.run(main)
