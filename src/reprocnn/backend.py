"""TensorFlow and Keras, imported in one place: quiet, and with deterministic operations.

Only train, evaluate and predict import this; the import takes seconds.
"""

import os

# Before the import, which reads them: no banner, and not another backend that ~/.keras/keras.json may name.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf

__all__ = ["gpus", "keras", "prepare"]


def gpus() -> list[str]:
    """The names of the GPUs that TensorFlow sees."""
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(d).get("device_name", d.name) for d in devices]


def prepare(seed: int) -> None:
    """Make what follows repeatable: operations deterministic, every global generator seeded.

    GPU memory is taken as needed, so that two experiments fit on one card.
    """
    for device in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(device, True)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
