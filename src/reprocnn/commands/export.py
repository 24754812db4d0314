"""Export the trained model to another format, and compare it with the Keras model."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.artifacts.files import atomic_file, atomic_folder
from reprocnn.artifacts.model import MODEL, ONNX_MODEL, load_model
from reprocnn.artifacts.split import TRAIN, VALIDATION, read_split
from reprocnn.artifacts.statistics import STATISTICS, read_statistics
from reprocnn.data.normalization import raw_batches
from reprocnn.errors import UserError
from reprocnn.export import measure
from reprocnn.export.formats import FORMATS, Format, Predict, Source, check_package, load_onnx
from reprocnn.run import locks, state

_CALIBRATION_IMAGES = 512
"""Most training images from which int8 takes the range of each tensor."""


class _Images(NamedTuple):
    """Images of the workspace as raw pixels, float32 (n, height, width, channels), 0-255."""

    calibration: NDArray[np.float32]
    """Training images, evenly spaced, so that they are of all classes."""
    validation: Callable[[], Iterator[NDArray[np.float32]]]
    """Yields all validation images in batches."""
    labels: NDArray[np.int64]
    """Class of each validation image, int64 (N,)."""


class _Measured(NamedTuple):
    """What the table shows of a model."""

    probabilities: NDArray[np.float32]
    """Of all validation images, float32 (N, classes)."""
    size: int
    """In bytes."""
    latency: measure.Latency


def export(name: str, output: str | None = None) -> None:
    """Convert the model of the workspace, compare it on all validation images, and print a table.

    A second export to the same output waits for the first.

    Args:
        name: the format, a key of `FORMATS`.
        output: the file or folder to write, or a symbolic link to it; None: the format's default.

    Raises:
        UserError: a package, the model or the data is missing, `output` can't be replaced, or a probability differs
            from that of the Keras model by more than 1e-4, except for int8.
    """
    path = Path(output) if output else FORMATS[name].path
    target = Path(os.path.realpath(path))  # unlike Path.resolve, it raises no error at a link to itself
    check_package(name)
    with locks.exclusive(state.export_lock(target), f"exports to {path}"):
        _check_output(path, target, FORMATS[name])
        _check_inputs()
        _export(name, path, target)


def _export(name: str, path: Path, target: Path) -> None:
    """Convert to a checked output; `path` is for messages, `target` is the same without symbolic links."""
    from reprocnn.backend import tf
    from reprocnn.export.difference import check

    chosen, images = FORMATS[name], _read_images()
    print(f"converting {MODEL} to {name}; comparing on {len(images.labels)} validation images", flush=True)
    write = atomic_folder if chosen.contents else atomic_file
    with tf.device("CPU"), write(target) as written:  # ONNX Runtime and the other formats run on the CPU too
        model = load_model(MODEL)
        chosen.write(written, Source(model, ONNX_MODEL, images.calibration))
        original = _measure(MODEL, model.predict_on_batch, images)
        exported = _measure(written, chosen.load(written), images)
        if chosen.is_exact:
            check(path, measure.largest_difference(exported.probabilities, original.probabilities))
    onnx = _measure(ONNX_MODEL, load_onnx(ONNX_MODEL), images)
    _print_table({MODEL: original, ONNX_MODEL: onnx, path: exported}, images.labels)


def _check_inputs() -> None:
    for needed in (MODEL, ONNX_MODEL, TRAIN, VALIDATION, STATISTICS):
        if not needed.exists():
            raise UserError(f"{needed} is missing", "dvc repro; or, if the result was made elsewhere: dvc checkout")


def _check_output(path: Path, target: Path, chosen: Format) -> None:
    """Refuse an output that is something else than an earlier export to the same format.

    Args:
        path: the output as it was given.
        target: the output without symbolic links.
        chosen: the format.
    """
    if target == ONNX_MODEL.resolve():
        raise UserError(f"{path} is the ONNX file that train writes", "choose another --output")
    if target.is_symlink():
        raise UserError(f"{path}: expected a file or folder, found a symbolic link to itself", "remove it")
    if not chosen.contents:
        if target.suffix != chosen.path.suffix or target.is_dir():
            kind = "a folder" if target.is_dir() else f"'{path.name}'"
            kind += f", a symbolic link to {target}" if path.is_symlink() else ""
            raise UserError(
                f"--output: expected a file whose name ends with {chosen.path.suffix}, found {kind}",
                f"for example --output {chosen.path}",
            )
    elif target.exists() and not (target.is_dir() and {file.name for file in target.iterdir()} <= chosen.contents):
        raise UserError(
            f"{path}: expected a new or empty folder or an earlier export, found other files",
            "choose another --output, or remove them",
        )


def _read_images() -> _Images:
    train, validation = read_split(TRAIN), read_split(VALIDATION)
    normalization = read_statistics(STATISTICS).normalization
    spaced = train.images[:: -(-len(train.images) // _CALIBRATION_IMAGES)]
    return _Images(
        np.concatenate(list(raw_batches(spaced, normalization))),
        partial(raw_batches, validation.images, normalization),
        validation.labels.argmax(axis=1),
    )


def _measure(path: Path, predict: Predict, images: _Images) -> _Measured:
    probabilities = measure.predict_all(predict, images.validation())
    return _Measured(probabilities, measure.size(path), measure.latency(predict, next(images.validation())))


def _print_table(models: Mapping[Path, _Measured], labels: NDArray[np.int64]) -> None:
    """Print one row per model; the first is the Keras model."""
    original, *_ = models.values()
    rows = [("", "size", "1 image", "image of 64", "accuracy", "change", "difference")]
    for path, model in models.items():
        accuracy, before = (float((m.probabilities.argmax(axis=1) == labels).mean()) for m in (model, original))
        difference = measure.largest_difference(model.probabilities, original.probabilities)
        compared = ("", "") if model is original else (f"{100 * (accuracy - before):+.2f}", f"{difference:.1g}")
        latency = (f"{model.latency.single:.2f} ms", f"{model.latency.batch:.3f} ms")
        rows.append((str(path), f"{model.size / 1e6:.2f} MB", *latency, f"{accuracy:.2%}", *compared))
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    for label, *cells in rows:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        print("  ".join([f"{label:<{first}}", *aligned]).rstrip())
    print(
        "1 image, image of 64: median time per image, alone and in a batch of 64, on all cores of this CPU\n"
        "accuracy: of the validation images; change: in points; difference: largest difference of a probability"
    )
