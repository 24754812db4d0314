"""The architectures: what they are, take and cost."""

from typing import Any, NamedTuple

from reprocnn.errors import UserError
from reprocnn.params import MODEL_OPTIONS


class Family(NamedTuple):
    """What there is to say of an architecture."""

    source: str
    accuracy: str
    """On the test images, in its source, or where it says so as measured here."""
    variants: tuple[dict[str, int], ...] = ()
    """Options that change its size."""


FACTS = {
    "mlp": Family("the text", "here MNIST 98.71 %, with the preset general"),
    "simple_cnn": Family("the text", "here MNIST 98.97 %"),
    "deep_cnn": Family("the text", "here CIFAR-10 as JPEGs 72.68 %"),
    "lenet": Family("LeCun et al. 1998", "MNIST 99.05 %"),
    "alexnet": Family("Krizhevsky et al. 2012", "CIFAR-10 87 %, with normalisation 89 % (its 4 layers)"),
    "vgg": Family(
        "Simonyan, Zisserman 2015; Liu, Deng 2015",
        "CIFAR-10 91.55 % (depth 16)",
        tuple({"depth": depth} for depth in (11, 13, 19)),
    ),
    "resnet": Family(
        "He et al. 2016",
        "CIFAR-10 91.25 % (depth 20) to 93.03 % (56)",
        tuple({"depth": depth} for depth in (32, 44, 56)),
    ),
    "inception": Family("Szegedy et al. 2015; Zhang et al. 2017", "CIFAR-10 89.05 %"),
    "speednet": Family("Jordan 2024", "CIFAR-10 94.01 % with tta", ({"width": 32}, {"width": 48})),
}


def models(image_shape: tuple[int, int, int], n_classes: int) -> None:
    """Print a row per model, and one for each of its sizes.

    Args:
        image_shape: (height, width, channels) of the images to build it for.
        n_classes: length of its output.
    """
    height, width, channels = image_shape
    print(f"For images of {height}x{width}x{channels} and {n_classes} classes; MFLOPs: of one image, forwards\n")
    print(f"{'model':<11} {'layers':>6} {'parameters':>11} {'MFLOPs':>8}  source; accuracy there, or measured here")
    for name, family in FACTS.items():
        print(f"{name:<11} {_size(name, image_shape, n_classes, {})}  {family.source}; {family.accuracy}")
        for options in family.variants:
            said = ", ".join(f"{key}={value}" for key, value in options.items())
            print(f"  {said:<9} {_size(name, image_shape, n_classes, options)}")
        print(f"{'':<11} takes {', '.join(MODEL_OPTIONS[name])}")


def _size(name: str, image_shape: tuple[int, int, int], n_classes: int, options: dict[str, Any]) -> str:
    """Layers, parameters and MFLOPs, or why it can't be built."""
    from reprocnn.models import costs
    from reprocnn.models.registry import build

    try:
        model = build(name, image_shape, n_classes, options, 0)
    except UserError as error:
        return error.problem
    return f"{costs.depth(model):>6} {costs.parameters(model):>11,} {costs.mflops(model):>8.2f}"
