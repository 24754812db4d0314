"""Read pictures as a model takes them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .decoding import read_image
from .info import ModelInfo
from .unreadable import UnreadableError, WhiteError, memory_failure

_FIX_WHITE = (
    "set white (`--white` of the command, `white=` of `reprocnn.load`) to 4095 for 12 bits, 65535 for 16 bits, "
    "1 for floats from 0 to 1"
)


def check_shape(info: ModelInfo) -> None:
    """Check that pictures can be prepared for a model: they are cropped to squares, as for training.

    Raises:
        UnreadableError: the images of the model are not square.
    """
    height, width, _ = info.image_shape
    if height != width:
        raise UnreadableError(
            f"the model takes images of {height}x{width} pixels, but pictures are cropped to squares",
            "crop and resize them, and give them as an array: `reprocnn.load(...).predict(images)`",
        )


def read_picture(info: ModelInfo, name: str, read: Callable[[], bytes]) -> NDArray[np.uint8]:
    """Read and decode an image file as `dataset: folder` does.

    Args:
        info: the model; has the size and the colour mode of its images.
        name: the name of the file; its suffix shows whether it is a camera's raw file.
        read: function that returns the bytes of the file.

    Returns:
        uint8 (height, width, channels), 0-255, of the size that the model takes.

    Raises:
        WhiteError: the model has no value of white, but the image needs one, or its value is wrong.
        UnreadableError: the file can't be read or decoded, memory is short, or the images of the model are not square;
            has the cause and the fix.
        FileNotFoundError: the file was deleted in the meantime.
    """
    check_shape(info)
    try:
        return read_image(name, read, info.image_shape[0], info.color_mode, info.white)
    except MemoryError:
        raise memory_failure() from None
    except WhiteError as error:  # its own fix is that of `dataset: folder`
        raise WhiteError(error.cause, _FIX_WHITE, error.detail) from None
