"""The architectures by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reprocnn.backend import derived_seed, keras
from reprocnn.errors import UserError
from reprocnn.models.alexnet import alexnet
from reprocnn.models.inception import inception
from reprocnn.models.layers import Tensor, TooSmallError
from reprocnn.models.lenet import lenet
from reprocnn.models.mlp import mlp
from reprocnn.models.resnet import resnet
from reprocnn.models.speednet import speednet
from reprocnn.models.text_cnns import deep_cnn, simple_cnn
from reprocnn.models.vgg import vgg
from reprocnn.params import MODEL_OPTIONS


@dataclass(frozen=True)
class Family:
    """An architecture."""

    layers: Callable[..., Tensor]
    """Applies its layers."""
    source: str
    reported: str
    """Test accuracy in its source, or where it says so as measured here."""
    variants: tuple[dict[str, Any], ...] = ()
    """Options that change its size."""


FAMILIES = {
    "mlp": Family(mlp, "the text", "here MNIST 98.71 %, with the preset general"),
    "simple_cnn": Family(simple_cnn, "the text", "here MNIST 98.97 %"),
    "deep_cnn": Family(deep_cnn, "the text", "here CIFAR-10 as JPEGs 72.68 %"),
    "lenet": Family(lenet, "LeCun et al. 1998", "MNIST 99.05 %"),
    "alexnet": Family(alexnet, "Krizhevsky et al. 2012", "CIFAR-10 87 %, with normalisation 89 % (its 4 layers)"),
    "vgg": Family(
        vgg,
        "Simonyan, Zisserman 2015; Liu, Deng 2015",
        "CIFAR-10 91.55 % (depth 16)",
        tuple({"depth": depth} for depth in (11, 13, 19)),
    ),
    "resnet": Family(
        resnet,
        "He et al. 2016",
        "CIFAR-10 91.25 % (depth 20) to 93.03 % (56)",
        tuple({"depth": depth} for depth in (32, 44, 56)),
    ),
    "inception": Family(inception, "Szegedy et al. 2015; Zhang et al. 2017", "CIFAR-10 89.05 %"),
    "speednet": Family(speednet, "Jordan 2024", "CIFAR-10 94.01 % with tta", ({"width": 32}, {"width": 48})),
}


def build(
    name: str, image_shape: tuple[int, int, int], n_classes: int, options: Mapping[str, Any], seed: int
) -> keras.Model:
    """Build a model of normalised images; it has Keras' own layers only, each with a name of its own.

    Args:
        name: of the architecture.
        image_shape: (height, width, channels).
        n_classes: length of the output, a probability a class.
        options: what differs from the model's own values, such as `padding`.
        seed: each layer draws its weights and its dropout with seeds derived from this one and its name.

    Raises:
        UserError: the model has no such depth, or is too deep for the images.
    """
    image = keras.Input(image_shape, name="image")
    try:
        model = keras.Model(image, FAMILIES[name].layers(image, n_classes, **options), name=name)
    except TooSmallError as error:
        height, width, _ = image_shape
        less = {"padding": "padding=same, ", "strides": "strides=1, "}
        raise UserError(
            f"model={name} is too deep for images of {height}x{width} pixels: {error}",
            f"use {''.join(less.get(option, '') for option in MODEL_OPTIONS[name])}another model, or larger images",
        ) from None
    return keras.models.clone_model(model, clone_function=lambda layer: _seeded(layer, seed))


def _seeded(layer: keras.Layer, seed: int) -> keras.Layer:
    """The layer with every seed that its config leaves open derived from `seed`, the layer's name and its place."""

    def closed(value: Any, place: str) -> Any:
        if isinstance(value, dict):
            return {key: closed(item, f"{place}.{key}") for key, item in value.items()}
        return derived_seed(seed, place) if value is None and place.endswith(".seed") else value

    return type(layer).from_config(closed(layer.get_config(), layer.name))
