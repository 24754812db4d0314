"""Find copies among images: re-saved, resized, slightly cropped, brightened or mirrored ones, and equal ones.

Each image is compared with those that have the most similar fingerprints, after both were aligned. Copies across
training and test split are common in published data: B. Barz, J. Denzler, "Do We Train on Test Data? Purging CIFAR of
Near-Duplicates", 2020.
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from reprocnn.artifacts.split import rows_per_chunk
from reprocnn.data.alignment import agreement
from reprocnn.data.fingerprints import Fingerprints, fingerprints, nearest, reduce_images
from reprocnn.data.progress import progress

_NEIGHBOURS = 6
_CANDIDATE = 0.85
"""Similarity of fingerprints from which two images are compared."""
_SIDE = 32
"""Larger images are reduced to this height and width before they are compared."""
_UNEXPLAINED = 0.04
"""Largest share of its variance that a copy has and the other image does not explain."""
_LOOK_ALIKE = 0.2
"""Where images look alike, a copy must be closer, see `_limit`."""
_SAMPLE = 1000
_RANKS = (1, 2, 4, 8, 16, 32, 64)
"""Neighbours among which the nearest one that is not a copy is searched, see `_typical`."""
_PAIRS = 128
"""Pairs that are compared at a time."""

Images = NDArray[np.uint8]


def find_copies(images: Images) -> pd.DataFrame:
    """Find the pairs of images that are copies of each other.

    Args:
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.

    Returns:
        One row per pair, sorted: first and second (rows, first below second), kind (`duplicate` for equal pixels, or
        `near_duplicate`) and similarity (0-1): the share of the variance of one image that the other explains. Of more
        than two equal images, each is a pair with the first one. Images smaller than 8x8 are searched for equal ones
        only.
    """
    found = _equal(images)
    distinct = np.setdiff1d(np.arange(len(images)), [second for _, second in found])
    near: list[tuple[int, int, float]] = []
    if min(images.shape[1:3], default=0) >= 8 and len(distinct) > 1:
        with threadpool_limits(1, "blas"):  # its threads and those of this module slow each other down
            near = _near(images, distinct)
    rows = [(*pair, "duplicate", 1.0) for pair in found] + [(a, b, "near_duplicate", s) for a, b, s in near]
    table = pd.DataFrame(sorted(rows), columns=["first", "second", "kind", "similarity"])
    return table.astype({"first": np.int64, "second": np.int64, "kind": str, "similarity": np.float64})


def _equal(images: Images) -> list[tuple[int, int]]:
    """Return the pairs of images with equal pixels: each image with the first one that equals it."""
    first: dict[bytes, int] = {}
    pairs: list[tuple[int, int]] = []
    for start, chunk in _chunks(images):
        for row, image in enumerate(chunk, start):
            earlier = first.setdefault(hashlib.sha256(image.tobytes()).digest(), row)
            if earlier != row:
                pairs.append((earlier, row))
    return pairs


def _near(images: Images, rows: NDArray[np.int64]) -> list[tuple[int, int, float]]:
    """Return the pairs of near copies among the images at `rows`, int64 (n,), with their similarity."""
    small = _for_each(images, rows, lambda chunk: fingerprints(reduce_images(chunk, _SIDE)))
    prints = Fingerprints(*(np.concatenate([getattr(part, name) for part in small]) for name in ("even", "odd")))
    found = nearest(prints, np.arange(len(rows)), min(_NEIGHBOURS, len(rows) - 1))
    query = np.repeat(np.arange(len(rows)), found.rows.shape[1])
    other, similarity, gain = found.rows.ravel(), found.similarity.ravel(), found.mirror_gain.ravel()
    candidates = _unique_pairs(query, other, (other >= 0) & (similarity >= _CANDIDATE))
    pairs, mirrored = rows[np.stack([query[candidates], other[candidates]], axis=1)], gain[candidates] > 0
    agreements = _compare(images, pairs, mirrored)
    limit = _limit(_typical(images, prints, rows))
    copied = agreements.round(4) >= 1 - limit
    kept = zip(np.sort(pairs[copied], axis=1).tolist(), agreements[copied].tolist(), strict=True)
    return [(first, second, round(value, 4)) for (first, second), value in kept]


def _typical(images: Images, prints: Fingerprints, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the unexplained share of variance between images and the nearest other image that is not a copy.

    Where most images have copies, as in a folder with augmented pictures, the very nearest ones tell nothing about how
    much different images look alike.

    Args:
        images: uint8 (N, height, width, channels), 0-255.
        prints: the fingerprints of the images at `rows`.
        rows: int64 (n,), at least 2.

    Returns:
        float64 (at most `_SAMPLE`,), above `_UNEXPLAINED`; without the images of which all neighbours are that close.
    """
    sample = np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows)), dtype=np.int64)
    found = nearest(prints, sample, min(_RANKS[-1], len(rows) - 1))
    unexplained, pending = np.zeros(len(sample)), np.arange(len(sample))
    for rank in _RANKS:
        if rank <= found.rows.shape[1] and len(pending):
            near = found.rows[pending, rank - 1]
            pairs = np.stack([rows[sample[pending]], rows[near]], axis=1)
            unexplained[pending] = 1 - _compare(images, pairs, found.mirror_gain[pending, rank - 1] > 0)
            pending = pending[unexplained[pending] <= _UNEXPLAINED]
    return unexplained[unexplained > _UNEXPLAINED]


def _limit(unexplained: NDArray[np.float64]) -> float:
    """Return the largest unexplained share of variance with which two images are copies.

    Handwritten digits look alike without being copies: the nearest neighbour of a typical one explains most of it. How
    often two different images come as close as copies do falls with a power of the distance, so the limit is in
    proportion to the square of the typical distance, and at most `_UNEXPLAINED`. (The factor was chosen on CIFAR-10, of
    which it does not lower the limit, and on MNIST, where it leaves re-saved images alone; see docs/data.md.)

    Args:
        unexplained: of images and their nearest neighbours, as `_typical`; may be empty.
    """
    if not len(unexplained):
        return _UNEXPLAINED
    return min(_UNEXPLAINED, _LOOK_ALIKE * float(np.median(unexplained)) ** 2)


def _unique_pairs(first: NDArray[np.int64], second: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of the kept pairs, each pair once."""
    ends = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
    indices = np.flatnonzero(kept)
    return indices[np.unique(ends[indices], axis=0, return_index=True)[1]]


def _compare(images: Images, pairs: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the agreement of each pair of rows, int64 (n, 2); mirrored, bool (n,), is for the second image."""

    def compare(start: int) -> NDArray[np.float64]:
        part = pairs[start : start + _PAIRS]
        first, second = (reduce_images(images[part[:, side]], _SIDE) for side in (0, 1))
        flip = mirrored[start : start + _PAIRS, None, None, None]
        return agreement(first, np.where(flip, second[:, :, ::-1], second))

    found: list[NDArray[np.float64]] = [np.empty(0)]
    threads = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool, progress(len(pairs), "comparing images", unit="pair") as bar:
        for part in pool.map(compare, range(0, len(pairs), _PAIRS)):
            found.append(part)
            bar.update(len(part))
    return np.concatenate(found)


def _for_each(images: Images, rows: NDArray[np.int64], make: Callable[[Images], Fingerprints]) -> list[Fingerprints]:
    size = rows_per_chunk(images.shape[1:])
    return [make(images[rows[start : start + size]]) for start in range(0, len(rows), size)]


def _chunks(images: Images) -> list[tuple[int, Images]]:
    size = rows_per_chunk(images.shape[1:])
    return [(start, images[start : start + size]) for start in range(0, len(images), size)]
