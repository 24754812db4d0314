"""The name of the data set in figures and MLflow runs."""

from pathlib import Path

from reprocnn.data.manifest import MANIFEST


def title(dataset: str, folder: str) -> str:
    """Return the name of the data set, or, for `folder`, the name of the user's folder or archive.

    Args:
        dataset: the data set in params.yaml.
        folder: the path of the user's images; only used if `dataset` is `folder`.
    """
    return Path(folder).name.removesuffix(MANIFEST) if dataset == "folder" else dataset
