"""The dense net of the text's lesson before convolutions."""

from reprocnn.models import layers
from reprocnn.models.layers import Tensor


def network(x: Tensor, n_classes: int, *, dropout: float = 0.0) -> Tensor:
    """Apply Flatten-Dense128-Dense64-output; `dropout` follows each dense layer."""
    x = layers.flat(x)
    for number, units in enumerate((128, 64), start=1):
        x = layers.dropped(layers.dense(x, units, f"dense{number}"), dropout, f"dropout{number}")
    return layers.output(x, n_classes)
