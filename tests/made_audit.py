"""Make the data of an audit: colours of which some are copies, wrongly labelled or dark."""

from pathlib import Path

import numpy as np
import pandas as pd

from made_files import NO_COPIES
from reprocnn.artifacts.copies import COPIES, write_copies
from reprocnn.artifacts.dataset import DATASET, write_dataset
from reprocnn.artifacts.model import ONNX_MODEL
from reprocnn.artifacts.split import RAW_TEST, RAW_TRAIN
from reprocnn.data.division import card, divide
from reprocnn.data.raw import RawData, write_split
from reprocnn.params import DownloadParams
from tiny_model import COLOURS, SIZE, write_tiny_model

N = 30


def make_audited(folder: Path) -> None:
    """Write the outputs of download, and a model that knows the colours, into a folder.

    The images 0 to 23 are training images, of which the last 6 are the validation split; 24 to 29 are test images.
    Image 3 is dark. Images 4 and 24 are equal; 5 and 25 are said to be near copies, and have different labels. The
    validation image 20 is blue and labelled red.
    """
    names = list(COLOURS)
    random, labels = np.random.default_rng(0), np.arange(N) % 3
    images = np.array([COLOURS[names[label]] for label in labels], np.float64)[:, None, None] * 0.8
    pixels = (images + random.uniform(0, 50, (N, SIZE, SIZE, 3))).astype(np.uint8)
    pixels[3] = random.integers(0, 40, (SIZE, SIZE, 3))
    pixels[24] = pixels[4]
    labels[24] = labels[4]
    labels[20] = 0
    files = [f"{'train' if i < 24 else 'test'}/{names[labels[i]]}/<b>{i},.png" for i in range(N)]
    given = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6
    data = RawData(names, labels.astype(np.int64), pixels, files, given, [""] * N)
    division = divide(data, NO_COPIES, DownloadParams(), {})
    write_split(data, division.train, folder / RAW_TRAIN)
    write_split(data, division.test, folder / RAW_TEST)
    write_dataset(folder / DATASET, card(division, "colours"))
    pairs = [(files[4], files[24], "duplicate", 1.0), (files[5], files[25], "near_duplicate", 0.97)]
    write_copies(folder / COPIES, pd.DataFrame(pairs, columns=["first", "second", "kind", "similarity"]))
    write_tiny_model(folder / ONNX_MODEL)
