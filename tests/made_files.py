"""Make the list of the files of images, and the pairs of copies of a data set without copies."""

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.image_files import ImageFiles
from reprocnn.data.copies import find_copies
from reprocnn.data.raw import image_hash, numbered

NO_COPIES = find_copies(np.zeros((0, 8, 8, 1), np.uint8))
"""The pairs of copies of a data set that has none."""


def made_files(images: NDArray[np.uint8]) -> ImageFiles:
    """Name the files of images, uint8 (N, height, width, channels), without groups and given splits."""
    n = len(images)
    return ImageFiles(numbered("made", n), [""] * n, [""] * n, [image_hash(image) for image in images])
