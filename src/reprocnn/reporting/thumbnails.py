"""Encode small images for the report."""

import base64
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_JPEG_FROM = 24
"""Pixels per side from which JPEG is smaller than PNG."""
_QUALITY = 85
_SIDE = 96
"""Largest height and width in pixels."""


def data_uri(image: NDArray[np.uint8]) -> str:
    """Return an image as a data URI, reduced to 96 pixels per side: small ones as PNG, others as JPEG.

    Args:
        image: uint8 (height, width, 1 or 3), 0-255.
    """
    content, picture = BytesIO(), Image.fromarray(image if image.shape[2] == 3 else image[..., 0])
    picture.thumbnail((_SIDE, _SIDE))
    kind = "png" if max(image.shape[:2]) < _JPEG_FROM else "jpeg"
    picture.save(content, kind, quality=_QUALITY, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
