"""Import TensorFlow and Keras in one place, without their start-up messages and with deterministic operations.

The import takes seconds. Of the stages, only train and evaluate import this module.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from reprocnn import environment


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what C++ code writes to stderr; show it if the block raises.

    TensorFlow 2.21 prints its build and the lack of a GPU from code that ignores every log level
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


environment.prepare()
with quiet():
    import keras
    import tensorflow as tf

    _GPUS = tf.config.list_physical_devices("GPU")

# ~/.keras/keras.json may set other values
keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")

__all__ = ["derived_seed", "gpus", "keras", "prepare", "quiet", "tf"]


def gpus() -> list[str]:
    """Return the names of the GPUs that TensorFlow can use."""
    return [tf.config.experimental.get_device_details(g).get("device_name", g.name) for g in _GPUS]


def derived_seed(seed: int, consumer: str) -> int:
    """Derive a seed for one consumer, 0 to 2**31 - 1, so that consumers draw independently of each other."""
    return int.from_bytes(hashlib.sha256(f"{seed} {consumer}".encode()).digest()[:4]) >> 1


def prepare(seed: int, threads: int = 0, portable: bool = False) -> None:
    """Make the following operations reproducible: use deterministic operations and seed every global generator.

    Call it before the first operation. GPU memory is allocated as needed, so that two experiments fit on one GPU.

    Args:
        seed: seed of the generators that have no seed of their own.
        threads: threads per operation; 0: one per core. Sums are split by thread, so the exact bits depend on it.
        portable: limit oneDNN, which computes convolutions and matrix products, to AVX2 (`ONEDNN_MAX_CPU_ISA`).
    """
    if portable:
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"  # read at the first operation
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    for device in _GPUS:
        tf.config.experimental.set_memory_growth(device, True)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(derived_seed(seed, "global"))
