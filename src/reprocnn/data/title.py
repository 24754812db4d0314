"""The name of the data in figures and runs."""

from pathlib import Path


def title(dataset: str, folder: str) -> str:
    """Name the data: the data set, or of `folder` the name of the user's folder or archive.

    Args:
        dataset: as in params.yaml.
        folder: path of the user's images; counts for `folder` alone.
    """
    return Path(folder).name if dataset == "folder" else dataset
