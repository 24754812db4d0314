"""The architectures by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from reprocnn.backend import derived_seed, keras
from reprocnn.errors import UserError
from reprocnn.models.deep_cnn import deep_cnn
from reprocnn.models.mlp import mlp
from reprocnn.models.simple_cnn import simple_cnn

_FAMILIES: dict[str, Callable[..., list[keras.Layer]]] = {
    "mlp": mlp,
    "simple_cnn": simple_cnn,
    "deep_cnn": deep_cnn,
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
        UserError: the model has no such option, or is too deep for the images.
    """
    family = _FAMILIES[name]
    known = [p.name for p in inspect.signature(family).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if ignored := [option for option in options if option not in known]:
        raise UserError(
            f"model={name} has no {ignored[0]}, found {ignored[0]}={options[ignored[0]]}",
            f"set {ignored[0]}=auto; {name} takes {', '.join(known)}",
        )
    layers = family(n_classes, **options)
    output = inputs = keras.Input(image_shape, name="image")
    for layer in layers:
        output = _applied(_seeded(layer, seed), output, name, image_shape)
    return keras.Model(inputs, output, name=name)


def _applied(
    layer: keras.Layer, value: keras.KerasTensor, name: str, image_shape: tuple[int, int, int]
) -> keras.KerasTensor:
    """`layer(value)`, where a layer whose window does not fit any more is the user's mistake."""
    shape = value.shape[1:]
    window = getattr(layer, "pool_size", None) or getattr(layer, "kernel_size", None)
    if window and layer.padding == "valid" and any(w > s for w, s in zip(window, shape, strict=False)):
        height, width, _ = image_shape
        raise UserError(
            f"model={name} is too deep for images of {height}x{width} pixels: {layer.name} needs "
            f"{window[0]}x{window[1]} or more, found {shape[0]}x{shape[1]}",
            "use padding=same, strides=1, model=mlp, or larger images",
        )
    return layer(value)


def _seeded(layer: keras.Layer, seed: int) -> keras.Layer:
    """The layer with every seed that its config leaves open derived from `seed`, the layer's name and its place."""

    def closed(value: Any, place: str) -> Any:
        if isinstance(value, dict):
            return {key: closed(item, f"{place}.{key}") for key, item in value.items()}
        return derived_seed(seed, place) if value is None and place.endswith(".seed") else value

    return type(layer).from_config(closed(layer.get_config(), layer.name))
