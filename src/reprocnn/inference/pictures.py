"""Read pictures as a model takes them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .decoding import read_image
from .info import ModelInfo


def read_picture(info: ModelInfo, name: str, read: Callable[[], bytes]) -> NDArray[np.uint8]:
    """Read and decode an image file as `dataset: folder` does.

    Args:
        info: the model; has the size and the colour mode of its images.
        name: the name of the file; its suffix shows whether it is a camera's raw file.
        read: function that returns the bytes of the file.

    Returns:
        uint8 (height, width, channels), 0-255, of the size that the model takes.

    Raises:
        UnreadableError: the file can't be read or decoded; has the cause and the fix.
        FileNotFoundError: the file was deleted in the meantime.
    """
    return read_image(name, read, info.image_shape[0], info.color_mode, info.white)
