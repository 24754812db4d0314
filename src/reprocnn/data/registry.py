"""The sources by name."""

from reprocnn.data import cifar, digits, folder, mnist
from reprocnn.data.raw import RawData
from reprocnn.params import DownloadParams


def load(params: DownloadParams) -> RawData:
    """The raw data of `params.dataset`."""
    match params.dataset:
        case "digits":
            return digits.load(params.test_fraction, params.split_seed)
        case "mnist" | "fashion_mnist":
            return mnist.load(params.dataset)
        case "cifar10" | "cifar100":
            return cifar.load(params.dataset)
        case "folder":
            white = None if params.white == "auto" else params.white
            return folder.load(
                folder.find(params.folder),
                params.image_size,
                params.color_mode,
                params.test_fraction,
                params.split_seed,
                white,
            )
    raise ValueError(f"Expected a data set that has a source here. Received: {params.dataset}")
