"""Build a model from its name and options; the module `models/<name>.py` defines its layers."""

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
    """Build a model from standard Keras layers with unique names. Call `initialize` before training it.

    Args:
        params: the architecture and its options; `auto` is the architecture's own default.
        image_shape: (height, width, channels).
        n_classes: number of classes.
        seed: the seeds of each layer's initial weights and dropout are derived from it and from the layer's name.
        normalization: None: the model takes normalised images. Otherwise it takes raw pixels, 0-255, and its first
            layer normalises them. Both forms have the same weights in the same order.

    Returns:
        A model that maps images, float32 or (raw pixels only) uint8 (batch, height, width, channels), to class
        probabilities, float32 (batch, n_classes), 0-1.

    Raises:
        UserError: the architecture does not have this depth, or the images are too small for it.
    """
    image = keras.Input(image_shape, name="image")
    x = image if normalization is None else _normalize(image, normalization)
    try:
        output = _module(params.model).network(x, n_classes, **_options(params))
    except TooSmallError as error:
        raise _too_deep(params.model, image_shape, error) from None
    model = keras.Model(image, output, name=params.model)
    return keras.models.clone_model(model, clone_function=lambda layer: _with_seeds(layer, seed))


def initialize(name: str, model: keras.Model, images: NDArray[np.float32]) -> None:
    """Set the initial weights that an architecture computes from the training images, if its module has `initialize`.

    Args:
        name: name of the architecture.
        model: a new model that takes normalised images; changed in place.
        images: float32 (N, height, width, channels), the normalised training images; may be memory-mapped.
    """
    if initialize_weights := getattr(_module(name), "initialize", None):
        initialize_weights(model, images)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"reprocnn.models.{name}")


def _options(params: ModelParams) -> dict[str, Any]:
    """Return the options that are not `auto`."""
    values = {name: getattr(params, name) for name in ModelParams.model_fields if name != "model"}
    return {name: value for name, value in values.items() if value != "auto"}


def _normalize(image: Tensor, normalization: Normalization) -> Tensor:
    """Normalise raw pixels, 0-255, with Keras' Rescaling layer, which has no weights."""
    scale = [1 / (255 * std) for std in normalization.std]
    offset = [0.0 - mean / std for mean, std in zip(normalization.mean, normalization.std, strict=True)]
    if len(set(zip(scale, offset, strict=True))) == 1:
        return keras.layers.Rescaling(scale[0], offset[0], name="normalization")(image)
    return keras.layers.Rescaling(scale, offset, name="normalization")(image)


def _too_deep(name: str, image_shape: Shape, error: TooSmallError) -> UserError:
    height, width, _ = image_shape
    remedies = {"padding": "padding=same, ", "strides": "strides=1, "}
    return UserError(
        f"model={name} is too deep for images of {height}x{width} pixels: {error}",
        f"use {''.join(remedies.get(option, '') for option in MODELS[name].options)}another model, or larger images",
    )


def _with_seeds(layer: keras.Layer, seed: int) -> keras.Layer:
    """Return a copy of the layer; its unset seeds are derived from `seed`, the layer's name and the config key."""

    def set_seeds(value: Any, place: str) -> Any:
        if isinstance(value, dict):
            return {key: set_seeds(item, f"{place}.{key}") for key, item in value.items()}
        return derived_seed(seed, place) if value is None and place.endswith(".seed") else value

    return type(layer).from_config(set_seeds(layer.get_config(), layer.name))
