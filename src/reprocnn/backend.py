"""TensorFlow and Keras, imported in one place: quiet, and with deterministic operations.

Only train, evaluate and predict import this; the import takes seconds.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what C++ code writes to the error stream; show it if the block fails.

    TensorFlow 2.21 reports its build and the lack of a GPU from code that no log level reaches
    (https://github.com/tensorflow/tensorflow/issues/100442).
    """
    sys.stderr.flush()
    stream = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stream, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stream, 2)
            os.close(stream)


# Read by the import: no banner, and not another backend that ~/.keras/keras.json may name.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

with quiet():
    import keras
    import tensorflow as tf

    _GPUS = tf.config.list_physical_devices("GPU")

__all__ = ["gpus", "keras", "prepare", "quiet"]


def gpus() -> list[str]:
    """The names of the GPUs that TensorFlow sees."""
    return [tf.config.experimental.get_device_details(g).get("device_name", g.name) for g in _GPUS]


def prepare(seed: int) -> None:
    """Make what follows repeatable: operations deterministic, every global generator seeded.

    GPU memory is taken as needed, so that two experiments fit on one card.
    """
    for device in _GPUS:
        tf.config.experimental.set_memory_growth(device, True)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
