"""Load a data set with the module of the same name."""

from importlib import import_module

from reprocnn.data.fetch import Places
from reprocnn.data.raw import RawData
from reprocnn.params import DownloadParams


def load(params: DownloadParams, places: Places) -> RawData:
    """Load the raw data of `params.dataset`.

    Args:
        params: the params of the download stage.
        places: the cache and the mirror of downloads.

    Raises:
        UserError: a download failed, or the user's images are not valid.
    """
    data: RawData = import_module(f"reprocnn.data.{params.dataset}").load(params, places)
    return data
