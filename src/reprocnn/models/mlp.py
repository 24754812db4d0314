"""The dense net of the text's lesson before convolutions: Flatten-Dense128-Dense64-output."""

from reprocnn.backend import keras


def mlp(n_classes: int, *, dropout: float = 0.0) -> list[keras.Layer]:
    """Layers of the dense net; `dropout` follows each dense layer."""
    layers = [keras.layers.Flatten(name="flatten")]
    for number, units in enumerate((128, 64), start=1):
        layers.append(keras.layers.Dense(units, activation="relu", name=f"dense{number}"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout, name=f"dropout{number}"))
    return [*layers, keras.layers.Dense(n_classes, activation="softmax", name="output")]
