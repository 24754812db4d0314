"""Select test images of which the model says that their labels are probably wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.image_files import ImageFiles
from reprocnn.artifacts.label_errors import LabelErrors
from reprocnn.evaluation.examples import reduced
from reprocnn.evaluation.label_errors import label_errors

_MOST = 20
"""Images that the report shows."""


def suspicious_labels(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    images: NDArray[np.uint8],
    files: ImageFiles,
    class_names: Sequence[str],
) -> LabelErrors:
    """Find all labels that are probably wrong, and keep the images of the 20 most suspicious ones.

    Args:
        probabilities: float64 (N, classes), 0-1.
        labels: int64 (N,), 0 to classes - 1.
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        files: the file of each image.
        class_names: the class name of each label.
    """
    found = label_errors(labels, probabilities)
    index, suggested = found["row"].to_numpy(), found["suggested"].to_numpy()
    names = np.array(class_names, dtype=object)
    rows = found.assign(
        index=index,
        file=np.array(files.file, dtype=object)[index],
        label=names[labels[index]],
        suggested=names[suggested],
        probability=probabilities[index, suggested].round(6),
    )
    shown = [reduced(images[number]) for number in index[:_MOST]]
    columns = ["index", "file", "label", "suggested", "score", "probability"]
    return LabelErrors(rows[columns], np.stack(shown) if shown else images[:0])
