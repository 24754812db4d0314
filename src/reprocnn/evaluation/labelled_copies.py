"""Tell copies with different labels from others."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def labelled_copies(copies: pd.DataFrame, files: Sequence[str], labels: NDArray[np.int64]) -> pd.DataFrame:
    """Find the images of pairs of copies, and compare their labels.

    Args:
        copies: pairs of copies, as `read_copies` returns them.
        files: the file of each image.
        labels: int64 (N,), the label of each image.

    Returns:
        One row per pair, the most similar first: first and second (rows of `files`, first below second), kind
        (`conflict` if the labels differ, else `duplicate` or `near_duplicate`), similarity (0-1), and the reason in
        words.
    """
    row_of = {file: row for row, file in enumerate(files)}
    ends = [[row_of[file] for file in copies[name]] for name in ("first", "second")]
    rows = np.sort(np.array(ends, np.int64).reshape(2, -1), axis=0)
    first, second = rows
    equal, similarity = copies["kind"].to_numpy() == "duplicate", copies["similarity"].to_numpy(np.float64)
    table = pd.DataFrame(
        {
            "first": first,
            "second": second,
            "kind": np.where(labels[first] == labels[second], copies["kind"].to_numpy(str), "conflict"),
            "similarity": similarity,
            "reason": ["equal pixels" if e else f"similarity {s:.2f}" for e, s in zip(equal, similarity, strict=True)],
        }
    )
    return table.sort_values(["similarity", "first", "second"], ascending=[False, True, True], ignore_index=True)
