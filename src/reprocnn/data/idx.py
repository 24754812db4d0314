"""Data sets in the format of MNIST: four gzipped idx files with greyscale images and their labels."""

import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reprocnn.data.fetch import Places, Source, fetch
from reprocnn.data.raw import RawData, combine_splits, numbered


@dataclass(frozen=True)
class IdxFiles:
    """The idx files of a data set.

    Args:
        class_names: the class name of each label, in label order.
        hosts: base URLs, best first; a file name is appended.
        hashes: file name -> sha256 of the gzip file, and sha256 of its content.
    """

    class_names: Sequence[str]
    hosts: tuple[str, ...]
    hashes: Mapping[str, tuple[str, str]]

    def load(self, places: Places) -> RawData:
        """Download and read the images, uint8 (N, 28, 28, 1), 0-255, and labels, with the published test split.

        Raises:
            UserError: a download failed.
        """
        splits = ("train", "t10k")
        train, test = (
            (
                read_idx(fetch(places, self._source(f"{split}-images-idx3-ubyte.gz")))[..., np.newaxis],
                read_idx(fetch(places, self._source(f"{split}-labels-idx1-ubyte.gz"))),
            )
            for split in splits
        )
        sizes = (len(train[0]), len(test[0]))
        files = [name for split, n in zip(splits, sizes, strict=True) for name in numbered(f"{split}-images", n)]
        return combine_splits(list(self.class_names), train, test, files)

    def _source(self, file: str) -> Source:
        published, content = self.hashes[file]
        return Source(file, published, tuple(host + file for host in self.hosts), content)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped idx file of unsigned bytes.

    Returns:
        uint8, 0-255, of the shape in the header of the file.

    Raises:
        ValueError: the values have another type, or their number differs from the header.
    """
    with gzip.open(path) as file:
        content = file.read()
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"Expected an idx file of unsigned bytes. Received: {content[:4]!r} in {path}")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise ValueError(f"Expected {math.prod(shape)} values. Received: {len(content) - start} in {path}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
