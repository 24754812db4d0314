"""List the models with their sizes, costs and options."""

from collections.abc import Mapping
from typing import Any

from reprocnn.catalog import MODELS
from reprocnn.errors import UserError
from reprocnn.params import ModelParams


def print_models(image_shape: tuple[int, int, int], n_classes: int) -> None:
    """Print one row per model, and one per depth or width.

    Args:
        image_shape: (height, width, channels) of the images.
        n_classes: the number of classes.
    """
    height, width, channels = image_shape
    print(f"For images of {height}x{width}x{channels} and {n_classes} classes; MFLOPs of a forward pass per image\n")
    header = f"{'model':<11} {'layers':>6} {'parameters':>11} {'MFLOPs':>8}"
    print(f"{header}  source; accuracy reported there or measured here")
    for name, row in MODELS.items():
        print(f"{name:<11} {_format_costs(name, image_shape, n_classes, {})}  {row.source}; {row.accuracy}")
        for options in row.variants:
            variant = ", ".join(f"{key}={value}" for key, value in options.items())
            print(f"  {variant:<9} {_format_costs(name, image_shape, n_classes, options)}")
        print(f"{'':<11} options: {', '.join(row.options)}")


def _format_costs(name: str, image_shape: tuple[int, int, int], n_classes: int, options: Mapping[str, Any]) -> str:
    """Format the layers, parameters and MFLOPs of a model, or return the reason why it can't be built."""
    from reprocnn.models import costs
    from reprocnn.models.build import build

    try:
        model = build(ModelParams(model=name, **options), image_shape, n_classes, 0)
    except UserError as error:
        return error.problem
    return f"{costs.depth(model):>6} {costs.parameters(model):>11,} {costs.mflops(model):>8.2f}"
