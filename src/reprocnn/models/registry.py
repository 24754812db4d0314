"""The architectures by name."""

from collections.abc import Callable, Mapping
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

FAMILIES: dict[str, Callable[..., Tensor]] = {
    "mlp": mlp,
    "simple_cnn": simple_cnn,
    "deep_cnn": deep_cnn,
    "lenet": lenet,
    "alexnet": alexnet,
    "vgg": vgg,
    "resnet": resnet,
    "inception": inception,
    "speednet": speednet,
}
"""What applies the layers of each. commands/models.py has what is said of them: a new accuracy trains nothing again."""


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
        model = keras.Model(image, FAMILIES[name](image, n_classes, **options), name=name)
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
