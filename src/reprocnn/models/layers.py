"""What the convolutional families share."""

from reprocnn.backend import keras

POOLING = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


def convolution_block(
    number: int, filters: int, convolutions: int, padding: str, strides: int, pooling: str
) -> list[keras.Layer]:
    """3x3 convolutions with relu, the first with `strides`, then 2x2 pooling. Every layer is named by its place."""
    layers: list[keras.Layer] = [
        keras.layers.Conv2D(
            filters,
            3,
            strides=strides if place == 1 else 1,
            padding=padding,
            activation="relu",
            name=f"block{number}_conv{place}",
        )
        for place in range(1, convolutions + 1)
    ]
    return [*layers, POOLING[pooling](2, name=f"block{number}_pool")]


def head(units: int, dropout: float, n_classes: int) -> list[keras.Layer]:
    """Flatten, a dense layer with relu, dropout where it is above 0, softmax over the classes."""
    layers = [
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dense(units, activation="relu", name="dense"),
    ]
    if dropout:
        layers.append(keras.layers.Dropout(dropout, name="dropout"))
    return [*layers, keras.layers.Dense(n_classes, activation="softmax", name="output")]
