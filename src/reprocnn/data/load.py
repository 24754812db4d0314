"""Loads a data set by its name: it is the module of that name."""

from importlib import import_module

from reprocnn.data.fetch import Places
from reprocnn.data.raw import RawData
from reprocnn.params import DownloadParams


def load(params: DownloadParams, places: Places) -> RawData:
    """Load the raw data of `params.dataset`.

    Args:
        params: what the module of the data set needs of them.
        places: where downloads are kept and looked for.

    Raises:
        UserError: a download failed, or the user's images are not what they should be.
    """
    data: RawData = import_module(f"reprocnn.data.{params.dataset}").load(params, places)
    return data
