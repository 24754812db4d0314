"""Name the data in figures and runs."""

from pathlib import Path


def title(dataset: str, folder: str) -> str:
    """Return the name of the data set; for `folder`, the name of the user's folder or archive.

    Args:
        dataset: `dataset` in params.yaml.
        folder: path of the user's images; used only for `folder`.
    """
    return Path(folder).name if dataset == "folder" else dataset
