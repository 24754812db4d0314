"""Handwritten digits that scikit-learn includes: 1,797 scans of 8x8 pixels, in 10 classes.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

import numpy as np
from sklearn.datasets import load_digits

from reprocnn.data.fetch import Places
from reprocnn.data.raw import RawData, in_chunks
from reprocnn.data.splits import held_out
from reprocnn.params import DownloadParams


def load(params: DownloadParams, _: Places) -> RawData:
    """Load the digits: images uint8 (1797, 8, 8, 1), scaled from 0-16 to 0-255, and labels 0-9.

    Args:
        params: `test_fraction` of the images, chosen with `split_seed`, become the test split.
    """
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
