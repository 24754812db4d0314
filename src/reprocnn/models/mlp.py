"""The multilayer perceptron of the teaching text, which comes before its CNNs."""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor


def network(x: Tensor, n_classes: int, *, dropout: float = 0.0) -> Tensor:
    """Apply Flatten-Dense128-Dropout-Dense64-Dropout-output.

    Args:
        x: normalised images, float32 (batch, height, width, channels).
        n_classes: number of classes.
        dropout: dropout rate after each hidden dense layer.

    Returns:
        Class probabilities, float32 (batch, n_classes), 0-1.
    """
    x = layers.flatten(x)
    for number, units in enumerate((128, 64), start=1):
        x = layers.dropout(layers.dense(x, units, f"dense{number}"), dropout, f"dropout{number}")
    return layers.output(x, n_classes)
