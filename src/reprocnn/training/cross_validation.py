"""Predict each image of a data set with a net that was not trained on it."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from reprocnn.artifacts.split import Split, rows_per_chunk
from reprocnn.artifacts.statistics import Normalization
from reprocnn.backend import keras
from reprocnn.data.normalization import fit as fit_normalization
from reprocnn.data.normalization import normalize
from reprocnn.evaluation.predictions import predict
from reprocnn.models.build import build, initialize
from reprocnn.params import FitParams, ModelParams
from reprocnn.training.fit import fit

_NET = ModelParams(model="speednet", width=16)
_BATCHES, _SMALLEST_BATCH, _LARGEST_BATCH = 16, 8, 256
_LEAST_STEPS, _LEAST_EPOCHS, _MOST_EPOCHS = 240, 4, 30


class _Rows:
    """Some rows of the images of a data set, read when they are used, so that a memory map stays one.

    Args:
        images: uint8 (N, height, width, channels), 0-255.
        rows: int64 (n,), 0 to N - 1.
        normalization: how the images are normalised.
    """

    def __init__(self, images: NDArray[np.uint8], rows: NDArray[np.int64], normalization: Normalization) -> None:
        self._images, self._rows, self._normalization = images, rows, normalization
        self.shape = (len(rows), *images.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> Any:
        return normalize(self._images[self._rows[index]], self._normalization)


def predict_held_out(
    images: NDArray[np.uint8],
    rows: NDArray[np.int64],
    labels: NDArray[np.int64],
    n_classes: int,
    *,
    folds: int = 4,
    done: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """Divide images into folds, and predict each fold with a small net that was trained on the other folds.

    The net is a speednet of width 16 with the optimizer and schedule of the preset `fast`, trained for 4 epochs, and
    on few images for more. Label smoothing keeps it from learning wrong labels by heart.

    Args:
        images: uint8 (N, height, width, channels), 0-255; may be memory-mapped.
        rows: int64 (n,), ascending, 0 to N - 1: the images to divide; n is at least 2.
        labels: int64 (n,), 0 to n_classes - 1, of these images.
        n_classes: number of classes.
        folds: number of folds, at least 2; with fewer images, as many as images.
        done: called after each fold.

    Returns:
        float64 (n, n_classes), 0-1, in the order of `rows`.
    """
    probabilities = np.zeros((len(rows), n_classes))
    folds = min(folds, len(rows))
    counts = np.bincount(labels)
    # A class with fewer images than folds can't be in every fold.
    kind = KFold if counts[counts > 0].min() < folds else StratifiedKFold
    predictor = None
    for train, held_out in kind(folds, shuffle=True, random_state=0).split(rows[:, None], labels):
        net, normalization = _train(images, rows[train], labels[train], n_classes)
        predictor = predictor or net  # one for all folds: TensorFlow compiles each anew, and warns of it
        predictor.set_weights(net.get_weights())
        normalized = _Rows(images, rows[held_out], normalization)
        probabilities[held_out] = predict(predictor, cast("NDArray[np.uint8]", normalized))
        done()
    return probabilities


def _train(
    images: NDArray[np.uint8], rows: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int
) -> tuple[keras.Model, Normalization]:
    """Train a net on the images at `rows`, int64 (n,), with their labels, int64 (n,).

    Returns:
        The net, and the normalisation of the images that it takes.
    """
    size = rows_per_chunk(images.shape[1:])
    chunks = (images[rows[start : start + size]] for start in range(0, len(rows), size))
    normalization = fit_normalization("standardize", chunks, images.shape[-1])
    shape = (images.shape[1], images.shape[2], images.shape[3])
    net = build(_NET, shape, n_classes, 0)
    batch = min(max(_SMALLEST_BATCH, min(_LARGEST_BATCH, len(rows) // _BATCHES)), len(rows))
    recipe = FitParams(
        epochs=max(_LEAST_EPOCHS, min(_MOST_EPOCHS, _LEAST_STEPS * batch // len(rows))),
        batch_size=batch,
        optimizer="muon",
        learning_rate=0.24,
        momentum=0.6,
        schedule="one_cycle",
        label_smoothing=0.2,
    )
    normalized = cast("NDArray[np.float32]", _Rows(images, rows, normalization))
    train = Split(normalized, np.eye(n_classes, dtype=np.float32)[labels])
    initialize(_NET.model, net, train.images)
    with redirect_stdout(io.StringIO()):  # a line per epoch
        fit(net, train, Split(train.images[:1], train.labels[:1]), recipe)
    return net, normalization
