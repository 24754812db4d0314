"""Load a data set by its name, which is also the name of its module."""

from importlib import import_module

from reprocnn.data.fetch import Places
from reprocnn.data.raw import RawData
from reprocnn.params import DownloadParams


def load(params: DownloadParams, places: Places) -> RawData:
    """Load the raw data of `params.dataset`.

    Args:
        params: the name of the data set, and its options.
        places: the download cache and the user's mirror.

    Raises:
        UserError: a download failed, or the user's images have a wrong layout.
    """
    data: RawData = import_module(f"reprocnn.data.{params.dataset}").load(params, places)
    return data
