"""Group images that are copies of each other, so that a split can keep them together."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def copy_groups(copies: pd.DataFrame, n: int) -> NDArray[np.int64]:
    """Number the groups of images that are copies of each other, directly or by way of other copies.

    A chain of copies is one group, although its ends may differ: for a split it is safer to join too much. A rule by
    the number of pairs in a group would part real copies, because `find_copies` compares an image with few others. (Of
    the six largest groups of CIFAR-10, five show one picture each to the eye, the largest with 71 images and 7 % of all
    possible pairs; the third, with 8 images, is a chain of different ships.)

    Args:
        copies: pairs in the columns first and second, rows 0 to n - 1.
        n: the number of images.

    Returns:
        int64 (n,), equal for images of the same group; an image without copies has a group of its own.
    """
    first, second = (copies[name].to_numpy(np.int64) for name in ("first", "second"))
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)
