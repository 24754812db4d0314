"""Corrupt images in six ways, at three strengths each.

After D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
2019. Strengths are relative to the image's size, so that they are alike for images of 8x8 and of 224x224 pixels.

Every function takes images, uint8 (n, height, width, channels), 0-255, with 1 or 3 channels, and a strength, 1-3. It
returns images of the same shape and dtype, always the same for the same images.
"""

import io
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Images = NDArray[np.uint8]

STRENGTHS = (1, 2, 3)


def blur(images: Images, strength: int) -> Images:
    """Blur by a Gaussian of 2, 4 or 8 % of the shorter side, but at least of 0.4, 0.6 or 0.8 pixels."""
    share, pixels = {1: (0.02, 0.4), 2: (0.04, 0.6), 3: (0.08, 0.8)}[strength]  # less than 0.4 pixels change nothing
    sigma = max(share * min(images.shape[1:3]), pixels)
    return _pixels(ndimage.gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest"))


def noise(images: Images, strength: int) -> Images:
    """Add Gaussian noise with a standard deviation of 4, 8 or 16 % of white."""
    sigma = 255 * {1: 0.04, 2: 0.08, 3: 0.16}[strength]
    random = np.random.default_rng(0).standard_normal(images.shape, dtype=np.float32)
    return _pixels(images + np.float32(sigma) * random)


def darkness(images: Images, strength: int) -> Images:
    """Darken to 70, 50 or 30 % of the brightness."""
    return _pixels(images * np.float32({1: 0.7, 2: 0.5, 3: 0.3}[strength]))


def jpeg(images: Images, strength: int) -> Images:
    """Compress as JPEG of quality 50, 25 or 10."""
    quality = {1: 50, 2: 25, 3: 10}[strength]
    compressed = np.empty_like(images)
    for image, place in zip(images, compressed, strict=True):
        file = io.BytesIO()
        Image.fromarray(image if image.shape[-1] == 3 else image[..., 0]).save(file, "JPEG", quality=quality)
        with Image.open(file) as decoded:
            place[:] = np.asarray(decoded).reshape(image.shape)
    return compressed


def rotation(images: Images, strength: int) -> Images:
    """Rotate by 10, 20 or 30 degrees, every second image clockwise; the edge pixels fill the corners."""
    degrees = {1: 10, 2: 20, 3: 30}[strength]
    rotated = np.empty_like(images)
    for first, angle in enumerate((degrees, -degrees)):
        part = images[first::2].astype(np.float32)
        turned = ndimage.rotate(part, angle, axes=(1, 2), reshape=False, order=1, mode="nearest")
        rotated[first::2] = _pixels(turned)
    return rotated


def shift(images: Images, strength: int) -> Images:
    """Shift by 5, 10 or 20 % of the side: one image down, the next up, right, left; the edge pixels fill the gap.

    A fraction of a pixel is interpolated.
    """
    share = {1: 0.05, 2: 0.1, 3: 0.2}[strength]
    shifted = np.empty_like(images)
    for first, (axis, sign) in enumerate(((1, 1), (1, -1), (2, 1), (2, -1))):
        part = images[first::4].astype(np.float32)
        # scipy interpolates along every axis, so fewer axes are faster.
        lines = part.reshape(math.prod(part.shape[:axis]), part.shape[axis], math.prod(part.shape[axis + 1 :]))
        moved = ndimage.shift(lines, (0, sign * share * part.shape[axis], 0), order=1, mode="nearest")
        shifted[first::4] = _pixels(moved.reshape(part.shape))
    return shifted


def _pixels(values: NDArray[np.float32]) -> Images:
    """Round to pixel values, uint8, 0-255."""
    return values.round().clip(0, 255).astype(np.uint8)


CORRUPTIONS: Mapping[str, Callable[[Images, int], Images]] = {
    "blur": blur,
    "noise": noise,
    "darkness": darkness,
    "jpeg": jpeg,
    "rotation": rotation,
    "shift": shift,
}
"""Name -> function."""
