"""Handwritten digits embedded in scikit-learn: 1,797 real scans of 8x8 pixels.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

import numpy as np
from sklearn.datasets import load_digits

from reprocnn.data.fetch import Places
from reprocnn.data.raw import RawData, in_chunks
from reprocnn.data.splits import held_out
from reprocnn.params import DownloadParams


def load(params: DownloadParams, _: Places) -> RawData:
    """Load the digits, 8x8x1; their values 0-16 are scaled to 0-255."""
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int64)
    class_names = [str(name) for name in digits.target_names]
    return RawData(
        class_names=class_names,
        labels=labels,
        is_test=held_out(labels, class_names, params.test_fraction, params.split_seed, "test_fraction"),
        image_shape=(8, 8, 1),
        chunks=in_chunks(images),
    )
