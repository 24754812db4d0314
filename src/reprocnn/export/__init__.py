"""Convert a trained Keras model to other formats, and compare its answers."""
