"""Reduce images to short vectors, and find the most similar images by them.

The vector is the image's low frequencies, as in C. Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010, but with their values instead of one bit each. All sums are of integers that float32 or float64 holds
exactly. So the results don't depend on the number of threads, nor on the order in which a processor adds.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reprocnn.data.progress import progress

Images = NDArray[np.uint8]

_LUMA = np.array([77, 150, 29])  # of 256: ITU-R BT.601
_FREQUENCIES = {"luma": 8, "colour": 4}
"""Number of frequencies per axis; of colour fewer, because JPEG stores it at half the resolution."""
_LENGTH = 4000
"""Length of a fingerprint; sums of products stay below 2**24, up to which float32 holds every integer."""
_MIN_CONTRAST = 2.0
"""Standard deviation in grey levels; what an image with less shows is mostly noise."""
_ROWS, _COLUMNS, _GROUP = 256, 4096, 16
"""Images per block of the similarity matrix, and images per group of which only the most similar one is kept."""


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of N images.

    Args:
        even: float32 (N, d), whole numbers; the part that stays as it is when the image is mirrored.
        odd: float32 (N, e), whole numbers; the part that changes its sign when the image is mirrored.
    """

    even: NDArray[np.float32]
    odd: NDArray[np.float32]

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "Fingerprints":
        return Fingerprints(self.even[rows], self.odd[rows])

    def __len__(self) -> int:
        return len(self.even)


@dataclass(frozen=True)
class Neighbours:
    """The k most similar images of each of n images, most similar first.

    Args:
        rows: int64 (n, k), the rows of the similar images; -1 if there are fewer than k.
        similarity: float32 (n, k), -1 to 1, of the image or its mirror image, whichever is more similar.
        mirror_gain: float32 (n, k), -1 to 1, how much more similar the mirror image is; negative: less similar.
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.float32]
    mirror_gain: NDArray[np.float32]


def reduce_images(images: Images, side: int) -> Images:
    """Reduce images by area averaging, keeping their proportions; images that are small enough are returned as given.

    Args:
        images: uint8 (n, height, width, channels), 0-255.
        side: the largest height and width to return.
    """
    height, width = images.shape[1:3]
    factor = side / max(height, width)
    if factor >= 1:
        return images
    rows, columns = (_averages(n, max(1, round(factor * n))) for n in (height, width))
    values = images.transpose(0, 3, 1, 2).astype(np.float32)
    sums = rows @ values @ columns.T
    sums /= rows.sum(axis=1)[:, None] * columns.sum(axis=1)
    return sums.round().astype(np.uint8).transpose(0, 2, 3, 1)


def luma(images: Images) -> NDArray[np.float32]:
    """Return the brightness of images, float32 (n, height, width), 0-255.

    Args:
        images: uint8 (n, height, width, channels), 0-255, with 3 channels (RGB) or another number (their mean is used).
    """
    if images.shape[-1] == 3:
        return ((images * _LUMA).sum(axis=-1) / 256).astype(np.float32)
    return images.mean(axis=-1, dtype=np.float32)


def fingerprints(images: Images) -> Fingerprints:
    """Return the fingerprints of images. They don't depend on brightness and contrast.

    Args:
        images: uint8 (n, height, width, channels), 0-255.

    Returns:
        Fingerprints of length `_LENGTH`, but 0 for an image with almost no contrast.
    """
    brightness = luma(images).round()
    planes = [(brightness, _FREQUENCIES["luma"])]
    if images.shape[-1] == 3:
        colours = [(images[..., channel] - brightness) / np.float32(2) for channel in (2, 0)]
        planes += [(colour, _FREQUENCIES["colour"]) for colour in colours]
    even, odd = [], []
    for plane, n in planes:
        coefficients, is_odd = _low_frequencies(plane, n)
        even.append(coefficients[:, ~is_odd])
        odd.append(coefficients[:, is_odd])
    parts = [np.concatenate(part, axis=1) for part in (even, odd)]
    length = np.sqrt(sum((part**2).sum(axis=1) for part in parts))
    flat = brightness.std(axis=(1, 2)) < _MIN_CONTRAST
    scale = np.where(flat, 0, _LENGTH / np.maximum(length, 1e-9))[:, None]
    return Fingerprints(*((part * scale).round().astype(np.float32) for part in parts))


def nearest(all_images: Fingerprints, queries: NDArray[np.int64], k: int) -> Neighbours:
    """Find the k images that are most similar to each of some images, or to its mirror image.

    Args:
        all_images: the fingerprints of all images.
        queries: int64 (n,), the rows of the images whose neighbours are searched.
        k: the number of neighbours per image.
    """
    blocks = [queries[start : start + _ROWS] for start in range(0, len(queries), _ROWS)]
    found = []
    n_threads = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads) as pool, progress(len(queries), "searching copies", unit="image") as bar:
        for neighbours in pool.map(lambda rows: _nearest_of_block(all_images, rows, k), blocks):
            found.append(neighbours)
            bar.update(len(neighbours.rows))
    return Neighbours(*(np.concatenate(part) for part in zip(*(vars(n).values() for n in found), strict=True)))


def _averages(n: int, n_after: int) -> NDArray[np.float32]:
    """Return the matrix that averages n pixels to fewer: the share of each pixel, in whole 256ths."""
    edges = np.arange(n_after + 1) * (n / n_after)
    ends = np.minimum(edges[1:, None], np.arange(1, n + 1))
    shares = (ends - np.maximum(edges[:-1, None], np.arange(n))).clip(0) * (n_after / n)
    return np.maximum((256 * shares).round(), shares > 0.4 * n_after / n).astype(np.float32)


def _low_frequencies(plane: NDArray[np.float32], n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the lowest frequencies of a plane without the mean, and which of them are odd from left to right.

    Args:
        plane: float32 (n, height, width), multiples of 1/2.
        n: the number of frequencies along each axis.
    """
    height, width = plane.shape[1:]
    rows, columns = (_cosines(size, min(n, size)) for size in (height, width))
    values = rows @ plane.astype(np.float64) @ columns.T
    vertical, horizontal = np.arange(values.shape[1])[:, None], np.arange(values.shape[2])
    # Higher frequencies are weaker in photographs, so they get more weight.
    values *= np.sqrt(1 + np.hypot(vertical, horizontal))
    kept = (vertical + horizontal > 0) & (vertical + horizontal < n)
    return values[:, kept], np.broadcast_to(horizontal, kept.shape)[kept] % 2 == 1


def _cosines(size: int, n: int) -> NDArray[np.float64]:
    """Return the first n rows of the discrete cosine transform, in whole 1024ths."""
    angles = np.outer(np.arange(n), (np.arange(size) + 0.5) * np.pi / size)
    return (1024 * np.cos(angles)).round()


def _nearest_of_block(all_images: Fingerprints, queries: NDArray[np.int64], k: int) -> Neighbours:
    """Find the neighbours of some images, as `nearest`.

    The k most similar images are in the k groups whose best images are most similar, so only these are sorted.
    """
    wanted = all_images[queries]
    best = []
    for start in range(0, len(all_images), _COLUMNS):
        part = all_images[start : start + _COLUMNS]
        similarity = wanted.odd @ part.odd.T
        np.abs(similarity, out=similarity)
        similarity += wanted.even @ part.even.T
        itself = np.flatnonzero((queries >= start) & (queries < start + len(part)))
        similarity[itself, queries[itself] - start] = -np.inf
        best.append(_best_of_groups(similarity))
    groups = np.concatenate(best, axis=1)
    chosen = _largest(groups, min(k, groups.shape[1]))
    per_block = best[0].shape[1]
    block, group = np.divmod(chosen, per_block)
    width = np.where(block == len(best) - 1, best[-1].shape[1], per_block)
    members = np.arange(_GROUP)
    rows = np.asarray(block * _COLUMNS + group)[..., None] + np.asarray(width)[..., None] * members
    return _sorted(all_images, queries, rows.reshape(len(queries), -1), k)


def _best_of_groups(similarity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest similarity of each group; a group is every w-th column, w being the number of groups."""
    n_rows, n_columns = similarity.shape
    if missing := -n_columns % _GROUP:
        similarity = np.pad(similarity, ((0, 0), (0, missing)), constant_values=-np.inf)
    return similarity.reshape(n_rows, _GROUP, -1).max(axis=1)


def _largest(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Return the columns of the k largest values of each row, in no particular order."""
    return np.argpartition(-values, k - 1, axis=1)[:, :k].astype(np.int64)


def _sorted(all_images: Fingerprints, queries: NDArray[np.int64], rows: NDArray[np.int64], k: int) -> Neighbours:
    """Return the k most similar of the images in each row of `rows`."""
    exists = (rows < len(all_images)) & (rows != queries[:, None])
    rows = np.where(exists, rows, -1)
    # Equal similarities are sorted by row number.
    rows = np.sort(rows, axis=1)
    wanted = all_images[queries]
    even = np.matmul(all_images.even[rows], wanted.even[:, :, None])[..., 0]
    odd = np.matmul(all_images.odd[rows], wanted.odd[:, :, None])[..., 0]
    similarity = np.where(rows >= 0, even + np.abs(odd), -np.inf)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    rows, similarity, odd = (np.take_along_axis(values, order, axis=1) for values in (rows, similarity, odd))
    square = np.float32(_LENGTH**2)
    return Neighbours(
        rows, (similarity / square).clip(-1, 1).astype(np.float32), (-2 * odd / square).astype(np.float32)
    )
