"""Find images of poor quality: dark, bright, without contrast, or blurred."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reprocnn.artifacts.split import rows_per_chunk

_DARK, _BRIGHT = 64, 192
"""An image is dark if 99 % of its pixels are below the first, and bright if 99 % are above the second."""
_FLAT = 10
"""An image is blank if the 1st and the 99th percentile of its pixels differ by less than this."""
_BLURRED = 4.0
"""An image is blurred if its sharpness is below the median of the data set divided by this."""


class Measures(NamedTuple):
    """What is measured of N images; each is float64 (N,)."""

    low: NDArray[np.float64]
    """1st percentile of the brightness, 0-255."""
    high: NDArray[np.float64]
    """99th percentile of the brightness, 0-255."""
    sharpness: NDArray[np.float64]
    """Standard deviation of the Laplacian, divided by that of the brightness; 0 for an image of one colour."""


def poor_images(images: NDArray[np.uint8]) -> pd.DataFrame:
    """Find images that a person may want to look at.

    What is dark or blurred depends on the data: where half of the images are dark, as on MNIST the background, darkness
    is no fault. So an image is compared with the median of its data set, too.

    Args:
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.

    Returns:
        One row per finding: row (0 to N - 1), kind (`blank`, `dark`, `bright` or `blurred`), score (0-1, how far it is
        beyond the limit) and reason. An image has one kind at most.
    """
    if not len(images):
        return pd.DataFrame({"row": [], "kind": [], "score": [], "reason": []})
    low, high, sharpness = measure(images)
    normal_low, normal_high, normal_sharpness = (float(np.median(values)) for values in (low, high, sharpness))
    findings: list[tuple[int, str, float, str]] = []
    for row in range(len(images)):
        if high[row] - low[row] < _FLAT:
            score, reason = 1 - (high[row] - low[row]) / _FLAT / 2, "all pixels are nearly equal"
            findings.append((row, "blank", score, reason))
        elif high[row] < min(_DARK, normal_high / 2):
            findings.append((row, "dark", 1 - high[row] / _DARK / 2, f"99 % of its pixels are below {high[row]:.0f}"))
        elif low[row] > max(_BRIGHT, (255 + normal_low) / 2):
            score = 0.5 + (low[row] - _BRIGHT) / (255 - _BRIGHT) / 2
            findings.append((row, "bright", score, f"99 % of its pixels are above {low[row]:.0f}"))
        elif sharpness[row] * _BLURRED < normal_sharpness:
            share = sharpness[row] / normal_sharpness
            score = 1 - share * _BLURRED / 2
            findings.append((row, "blurred", score, f"its edges have {share:.0%} of the usual sharpness"))
    table = pd.DataFrame(findings, columns=["row", "kind", "score", "reason"])
    return table.assign(score=table["score"].astype(float).round(4))


def measure(images: NDArray[np.uint8]) -> Measures:
    """Measure brightness and sharpness.

    The Laplacian as a measure of focus: J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a
    comparative study", 2000. It is divided by the contrast: a picture with little contrast is not a blurred one.

    Args:
        images: uint8 (N, height, width, channels), 0-255; N at least 1.
    """
    parts = [_measure_chunk(chunk) for chunk in _chunks(images)]
    return Measures(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _chunks(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    size = rows_per_chunk(images.shape[1:], most=1024)
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _measure_chunk(images: NDArray[np.uint8]) -> Measures:
    brightness = images.mean(axis=3, dtype=np.float32)
    flat = np.sort(brightness.reshape(len(images), -1), axis=1)
    low, high = (flat[:, round(part * (flat.shape[1] - 1))].astype(np.float64) for part in (0.01, 0.99))
    padded = np.pad(brightness, ((0, 0), (1, 1), (1, 1)), mode="edge")
    around = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    laplacian = (around - 4 * brightness).std(axis=(1, 2), dtype=np.float64)
    contrast = brightness.std(axis=(1, 2), dtype=np.float64)
    return Measures(low, high, np.divide(laplacian, contrast, out=np.zeros_like(contrast), where=contrast > 0))
