"""Handwritten digits that scikit-learn includes: 1,797 scans of 8x8 pixels, in 10 classes.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

import numpy as np
from sklearn.datasets import load_digits

from reprocnn.data.fetch import Places
from reprocnn.data.raw import RawData, numbered
from reprocnn.params import DownloadParams


def load(_: DownloadParams, __: Places) -> RawData:
    """Load the digits: images uint8 (1797, 8, 8, 1), scaled from 0-16 to 0-255, and labels 0-9."""
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    n = len(images)
    return RawData(
        class_names=[str(name) for name in digits.target_names],
        labels=digits.target.astype(np.int64),
        images=images,
        files=numbered("digits", n),
        given=[""] * n,
        groups=[""] * n,
    )
