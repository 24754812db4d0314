import numpy as np

from reprocnn.data import digits
from reprocnn.params import DownloadParams
from reprocnn.run.downloads import places


def test_digits_have_the_documented_shape_dtype_and_range() -> None:
    data = digits.load(DownloadParams(), places())
    images = data.images
    assert (images.shape, images.dtype) == ((1797, 8, 8, 1), np.uint8)
    assert (images.min(), images.max()) == (0, 255)  # the source has 0-16
    assert data.class_names == list("0123456789")
    assert (data.files[1796], set(data.given)) == ("digits#1796", {""})
