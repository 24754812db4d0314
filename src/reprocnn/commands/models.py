"""The architectures: what they are, take and cost."""

from reprocnn.errors import UserError


def models(image_shape: tuple[int, int, int], n_classes: int) -> None:
    """Print a row per model.

    Args:
        image_shape: (height, width, channels) of the images to build it for.
        n_classes: length of its output.
    """
    from reprocnn.models import costs  # these import TensorFlow, which takes seconds
    from reprocnn.models.registry import FAMILIES, build

    height, width, channels = image_shape
    print(f"For images of {height}x{width}x{channels} and {n_classes} classes; MFLOPs: of one image, forwards\n")
    print(f"{'model':<11} {'layers':>6} {'parameters':>11} {'MFLOPs':>8}  source; accuracy on the test set it reports")
    for name, family in FAMILIES.items():
        try:
            model = build(name, image_shape, n_classes, {}, 0)
        except UserError as error:
            print(f"{name:<11} {error.problem}")
            continue
        size = f"{costs.depth(model):>6} {model.count_params():>11,} {costs.mflops(model):>8.2f}"
        print(f"{name:<11} {size}  {family.source}; {family.reported}")
        print(f"{'':<11} takes {', '.join(family.options)}")
