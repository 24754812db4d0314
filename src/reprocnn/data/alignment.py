"""Compare pairs of images after a small shift, a small change of size, and a change of brightness and contrast.

The shift and the size are found by linear least squares on the gradients of an image: B. Lucas, T. Kanade, "An
Iterative Image Registration Technique with an Application to Stereo Vision", 1981.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from reprocnn.data.fingerprints import luma

_BLUR, _BLUR_OF_COLOUR = 0.7, 1.5
"""Sigma in pixels of the blur that removes what JPEG adds, and makes gradients reliable. JPEG stores colour at half the
resolution."""
_MARGIN = 0.06
"""Part of the height and width at each edge that is not compared, because a crop has lost it."""
_STEPS = 3

Images = NDArray[np.float32]


class _Warp(NamedTuple):
    """A shift and a change of size per image; each is float32 (n,)."""

    right: NDArray[np.float32]
    """In pixels."""
    down: NDArray[np.float32]
    """In pixels."""
    larger: NDArray[np.float32]
    """Change of height and width in pixels, at each edge."""


def agreement(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how well one image of each pair explains the other one, after both were aligned.

    Args:
        first: uint8 (n, height, width, channels), 0-255; height and width at least 4.
        second: the same shape.

    Returns:
        float64 (n,), at most 1: the share of the variance of one image that the other explains (R squared), of the two
        directions the smaller one; 0 if one of them has almost no contrast.
    """
    a, b = _blurred(first), _blurred(second)
    return np.minimum(_explained(a, b), _explained(b, a))


def _blurred(images: NDArray[np.uint8]) -> Images:
    """Blur images; RGB becomes brightness, and the differences of blue and red from it."""
    if images.shape[-1] != 3:
        return _blur(images.astype(np.float32), _BLUR)
    brightness = luma(images)[..., None]
    colour = (images[..., ::2] - brightness) / np.float32(2)
    return np.concatenate([_blur(brightness, _BLUR), _blur(colour, _BLUR_OF_COLOUR)], axis=-1)


def _blur(images: Images, sigma: float) -> Images:
    return np.asarray(gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest"), np.float32)


def _explained(a: Images, b: Images) -> NDArray[np.float64]:
    """Return the share of the variance of b that a explains: (n,), 0-1."""
    n = len(a)
    warp = _Warp(*(np.zeros(n, np.float32) for _ in range(3)))
    best = np.zeros(n)
    for _ in range(_STEPS):
        share, change = _fit(_warped(a, warp), b)
        best = np.maximum(best, share)
        warp = _Warp(*(now + more for now, more in zip(warp, change, strict=True)))
    return best


def _fit(a: Images, b: Images) -> tuple[NDArray[np.float64], _Warp]:
    """Fit b as a times a contrast, plus a brightness per channel, plus the effects of a shift and a change of size.

    Returns:
        The share of the variance of b that the fit explains, float64 (n,), and the warp of a.
    """
    n, height, width, _ = a.shape
    down, right = np.gradient(a, axis=(1, 2))
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in (height, width))
    terms = np.stack([a, right, down, x[None, None, :, None] * right + y[None, :, None, None] * down], axis=-1)
    rows, columns = (max(1, round(_MARGIN * size)) for size in (height, width))
    inner = (slice(None), slice(rows, -rows), slice(columns, -columns))
    terms, target = terms[inner].astype(np.float64), b[inner].astype(np.float64)
    terms -= terms.mean(axis=(1, 2), keepdims=True)
    target -= target.mean(axis=(1, 2), keepdims=True)
    terms, target = terms.reshape(n, -1, 4), target.reshape(n, -1)
    products = terms.transpose(0, 2, 1) @ terms
    ridge = 1e-4 * np.trace(products, axis1=1, axis2=2) + 1e-6
    found = np.linalg.solve(products + ridge[:, None, None] * np.eye(4), (target[:, None] @ terms)[:, 0, :, None])
    rest = target - (terms @ found)[..., 0]
    variance = (target**2).sum(axis=1)
    visible = variance > target.shape[1]  # a standard deviation of one grey level
    share = np.where(visible, 1 - (rest**2).sum(axis=1) / np.maximum(variance, 1), 0)
    contrast = np.maximum(np.abs(found[:, 0, 0]), 0.1)
    limit = max(height, width) / 10
    return share, _Warp(*((found[:, i, 0] / contrast).clip(-limit, limit).astype(np.float32) for i in (1, 2, 3)))


def _warped(images: Images, warp: _Warp) -> Images:
    """Shift and resize images, with linear interpolation; pixels from outside are those of the edge."""
    if not any(values.any() for values in warp):
        return images
    _, height, width, _ = images.shape
    grids = []
    for size, shift in ((height, warp.down), (width, warp.right)):
        place = np.arange(size, dtype=np.float32) + shift[:, None]
        place += warp.larger[:, None] * np.linspace(-1, 1, size, dtype=np.float32)
        place = place.clip(0, size - 1)
        low = np.minimum(place.astype(np.int64), size - 2)
        grids.append((low, place - low))
    (row, down), (column, right) = grids
    which = np.arange(len(images))[:, None]
    images = images[which, row] * (1 - down)[..., None, None] + images[which, row + 1] * down[..., None, None]
    images = images.transpose(0, 2, 1, 3)
    images = images[which, column] * (1 - right)[..., None, None] + images[which, column + 1] * right[..., None, None]
    return np.ascontiguousarray(images.transpose(0, 2, 1, 3))
