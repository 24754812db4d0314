"""Arrange the confusion matrix of the report and the images behind its cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from reprocnn.artifacts.examples import Examples
from reprocnn.reporting.thumbnails import data_uri

_PER_CELL = 8
_BYTES = 1_400_000
"""Limit of all images together, encoded."""


def similarity_order(counts: NDArray[np.int64]) -> list[int]:
    """Return an order of the classes in which those that are often confused are neighbours.

    Hierarchical clustering with optimal leaf ordering (Bar-Joseph et al., "Fast optimal leaf ordering for hierarchical
    clustering", 2001); two classes are the closer, the larger the fractions of each that are taken for the other.

    Args:
        counts: confusion matrix, int64 (classes, classes), one row per actual class.
    """
    if len(counts) < 3:
        return list(range(len(counts)))
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    distances = 1 - (rates + rates.T) / 2
    np.fill_diagonal(distances, 0)
    flat = squareform(distances, checks=False)
    return [int(i) for i in leaves_list(optimal_leaf_ordering(linkage(flat, "average"), flat))]


def cells(counts: NDArray[np.int64]) -> list[list[int]]:
    """Return [actual, predicted, count] of each cell above 0."""
    return [[int(i), int(j), int(counts[i, j])] for i, j in np.argwhere(counts > 0)]


def images(examples: Examples, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the images of each cell: "actual,predicted" -> [file name, confidence, data URI] of each.

    At most 8 per cell, the most confident first, and at most 1.4 MB in all: first the most confident of each cell, and
    of these first the hits.

    Args:
        examples: classified test images, the most confident first.
        names: the name of each class.
    """
    number = {name: i for i, name in enumerate(names)}
    found: dict[str, list[Any]] = {}
    rank = examples.rows.groupby(["actual", "predicted"]).cumcount()
    wrong = examples.rows["actual"] != examples.rows["predicted"]
    size = 0
    for i in sorted(range(len(rank)), key=lambda i: (rank[i], wrong[i])):
        row = examples.rows.iloc[i]
        cell = found.setdefault(f"{number[row['actual']]},{number[row['predicted']]}", [])
        uri = data_uri(examples.images[i])
        if len(cell) < _PER_CELL and size + len(uri) <= _BYTES:
            size += len(uri)
            cell.append([row["file"], float(row["confidence"]), uri])
    return {key: cell for key, cell in found.items() if cell}


def most_confused(counts: NDArray[np.int64], n: int = 10) -> list[tuple[int, int, int]]:
    """Return (actual, predicted, count) of the n most frequent mistakes, the most frequent first."""
    wrong = [(i, j, count) for i, j, count in cells(counts) if i != j]
    return sorted(wrong, key=lambda cell: -cell[2])[:n]
