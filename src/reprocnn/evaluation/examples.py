"""Select test images to show."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from reprocnn.artifacts.examples import Examples

_PER_CELL, _MISTAKES, _MOST, _SIDE = 8, 20, 1500, 128


def examples(predictions: pd.DataFrame, probabilities: NDArray[np.float64], images: NDArray[np.uint8]) -> Examples:
    """Select images of each cell of the confusion matrix, the 8 most confident, and the 20 most confident mistakes.

    At most 1,500 images are kept: first the most confident of each cell, then the second, and so on.

    Args:
        predictions: as `predictions.table` returns them.
        probabilities: float64 (N, classes), 0-1.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.

    Returns:
        The most confident first; images of more than 128 pixels per side are reduced.
    """
    # Sort by the probabilities, not by the rounded confidence: after long training many are rounded to 1.
    rows = predictions.iloc[np.argsort(-probabilities.max(axis=1), kind="stable")].reset_index(drop=True)
    wrong = rows["actual"] != rows["predicted"]
    rank = rows.groupby(["actual", "predicted"]).cumcount()
    rank[wrong & (wrong.cumsum() <= _MISTAKES)] = 0
    chosen = rank.index[rank < _PER_CELL]
    by_rank = sorted(chosen, key=lambda i: (rank[i], wrong[i]))[:_MOST]  # hits first: each class gets one
    kept = rows.loc[sorted(by_rank)].reset_index(drop=True)
    shown = [reduced(images[index]) for index in kept["index"]]
    return Examples(kept, np.stack(shown) if shown else images[:0])


def reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce an image, uint8 (height, width, channels), to at most 128 pixels per side."""
    height, width, channels = image.shape
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(image if channels == 3 else image[..., 0]).resize(size, Image.Resampling.BOX)
    return np.asarray(small).reshape(size[1], size[0], channels)
