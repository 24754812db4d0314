"""List the models and the data sets, by the names that params.yaml uses.

To add a model, add the file models/<name>.py and a row here; to add a data set, the file data/<name>.py and a row. No
other code lists them.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Model:
    """Facts about an architecture that don't require building it.

    Args:
        options: the keys of params.yaml that it supports; the others must be `auto`.
        source: the publication.
        accuracy: its test accuracy in the publication, or, if marked `here`, as measured in this project.
        variants: options for other sizes; `python -m reprocnn models` shows a row for each.
        any_size: takes images of any size: it ends in global pooling. `low_resolution` needs that.
    """

    options: tuple[str, ...]
    source: str
    accuracy: str
    variants: tuple[Mapping[str, int], ...] = ()
    any_size: bool = False


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Facts about a data set that don't require downloading it.

    Args:
        images: number of images in all splits; None if it depends on the user's files.
        image_shape: (height, width, channels); None if params.yaml sets it.
        download_bytes: size of the download.
    """

    images: int | None
    image_shape: tuple[int, int, int] | None
    download_bytes: int


_CONVOLUTIONAL = ("padding", "strides", "pooling", "dropout", "batch_norm")

MODELS: Mapping[str, Model] = {
    "mlp": Model(
        options=("dropout",),
        source="the teaching text",
        accuracy="here MNIST 98.71 %, with the preset general",
    ),
    "simple_cnn": Model(
        options=_CONVOLUTIONAL,
        source="the teaching text",
        accuracy="here MNIST 98.97 %",
    ),
    "deep_cnn": Model(
        options=_CONVOLUTIONAL,
        source="the teaching text",
        accuracy="here CIFAR-10 as JPEGs 72.68 %",
    ),
    "lenet": Model(
        options=_CONVOLUTIONAL,
        source="LeCun et al. 1998",
        accuracy="MNIST 99.05 %",
    ),
    "alexnet": Model(
        options=_CONVOLUTIONAL,
        source="Krizhevsky et al. 2012",
        accuracy="CIFAR-10 87 %, with normalisation 89 % (its 4 layers)",
    ),
    "vgg": Model(
        options=("padding", "pooling", "dropout", "batch_norm", "depth"),
        source="Simonyan, Zisserman 2015; Liu, Deng 2015",
        accuracy="CIFAR-10 91.55 % (depth 16)",
        variants=tuple({"depth": depth} for depth in (11, 13, 19)),
    ),
    "resnet": Model(
        options=("depth", "dropout"),
        source="He et al. 2016",
        accuracy="CIFAR-10 91.25 % (depth 20) to 93.03 % (56)",
        variants=tuple({"depth": depth} for depth in (32, 44, 56)),
        any_size=True,
    ),
    "inception": Model(
        options=("pooling", "dropout"),
        source="Szegedy et al. 2015; Zhang et al. 2017",
        accuracy="CIFAR-10 89.05 %",
        any_size=True,
    ),
    "speednet": Model(
        options=("width", "pooling", "dropout"),
        source="Jordan 2024",
        accuracy="CIFAR-10 94.01 % with tta",
        variants=tuple({"width": width} for width in (32, 48)),
        any_size=True,
    ),
}

DATA_SETS: Mapping[str, DataSet] = {
    "digits": DataSet(
        images=1_797,
        image_shape=(8, 8, 1),
        download_bytes=0,
    ),
    "mnist": DataSet(
        images=70_000,
        image_shape=(28, 28, 1),
        download_bytes=11_594_722,
    ),
    "fashion_mnist": DataSet(
        images=70_000,
        image_shape=(28, 28, 1),
        download_bytes=30_878_645,
    ),
    "cifar10": DataSet(
        images=60_000,
        image_shape=(32, 32, 3),
        download_bytes=170_498_071,
    ),
    "cifar100": DataSet(
        images=60_000,
        image_shape=(32, 32, 3),
        download_bytes=169_001_437,
    ),
    "folder": DataSet(
        images=None,
        image_shape=None,
        download_bytes=0,
    ),
}
