"""A model from its name and options: the module `models/<name>.py` has its layers."""

import importlib
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.statistics import Normalization
from reprocnn.backend import derived_seed, keras
from reprocnn.catalog import MODELS
from reprocnn.errors import UserError
from reprocnn.models.layers import Tensor, TooSmallError
from reprocnn.params import ModelParams

Shape = tuple[int, int, int]


def build(
    params: ModelParams, image_shape: Shape, n_classes: int, seed: int, normalization: Normalization | None = None
) -> keras.Model:
    """Build a model from Keras' own layers, each with a name of its own. Call `start` before it is trained.

    Args:
        params: name the architecture and its options; `auto` is the architecture's own value.
        image_shape: (height, width, channels).
        n_classes: length of the output, a probability per class.
        seed: each layer draws its weights and its dropout with seeds derived from this one and its name.
        normalization: None for a model of normalised images. Otherwise the model takes raw pixels, 0-255, uint8 or
            float32, and its first layer normalises them. Both have the same weights in the same order.

    Raises:
        UserError: the model has no such depth, or is too deep for the images.
    """
    image = keras.Input(image_shape, name="image")
    x = image if normalization is None else _rescaled(image, normalization)
    try:
        output = _module(params.model).network(x, n_classes, **_options(params))
    except TooSmallError as error:
        raise _too_deep(params.model, image_shape, error) from None
    model = keras.Model(image, output, name=params.model)
    return keras.models.clone_model(model, clone_function=lambda layer: _seeded(layer, seed))


def start(name: str, model: keras.Model, images: NDArray[np.float32]) -> None:
    """Set the weights that an architecture derives from the training images, if its module has a `start`.

    Args:
        name: of the architecture.
        model: as built, of normalised images.
        images: float32 (N, height, width, channels), normalised, of the training split; may be memory-mapped.
    """
    if own := getattr(_module(name), "start", None):
        own(model, images)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"reprocnn.models.{name}")


def _options(params: ModelParams) -> dict[str, Any]:
    """Return the options that are not `auto`."""
    values = {name: getattr(params, name) for name in ModelParams.model_fields if name != "model"}
    return {name: value for name, value in values.items() if value != "auto"}


def _rescaled(image: Tensor, normalization: Normalization) -> Tensor:
    """Normalise raw pixels by Keras' own layer, which has no weights."""
    scale = [1 / (255 * std) for std in normalization.std]
    offset = [0.0 - mean / std for mean, std in zip(normalization.mean, normalization.std, strict=True)]
    if len(set(zip(scale, offset, strict=True))) == 1:
        return keras.layers.Rescaling(scale[0], offset[0], name="normalization")(image)
    return keras.layers.Rescaling(scale, offset, name="normalization")(image)


def _too_deep(name: str, image_shape: Shape, error: TooSmallError) -> UserError:
    height, width, _ = image_shape
    less = {"padding": "padding=same, ", "strides": "strides=1, "}
    return UserError(
        f"model={name} is too deep for images of {height}x{width} pixels: {error}",
        f"use {''.join(less.get(option, '') for option in MODELS[name].options)}another model, or larger images",
    )


def _seeded(layer: keras.Layer, seed: int) -> keras.Layer:
    """Return the layer; each seed that its config leaves open comes from `seed`, the layer's name and the key."""

    def closed(value: Any, place: str) -> Any:
        if isinstance(value, dict):
            return {key: closed(item, f"{place}.{key}") for key, item in value.items()}
        return derived_seed(seed, place) if value is None and place.endswith(".seed") else value

    return type(layer).from_config(closed(layer.get_config(), layer.name))
