"""Write a trained model in other formats, and run what was written.

The import is cheap: the libraries, which take seconds, are imported when a model is written or run. Two runs of
`python -m reprocnn export` on one machine give the same bytes, except of a SavedModel: Keras orders its variables at
random, and writes each of them twice.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprocnn.errors import UserError

if TYPE_CHECKING:  # the import takes seconds
    import keras

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Function from images, float32 (n, height, width, channels), 0-255, to probabilities, float32 (n, classes), 0-1."""


class Source(NamedTuple):
    """What a format is made of."""

    model: "keras.Model"
    """The trained model, which takes raw pixels, 0-255."""
    onnx: Path
    """The ONNX file of the same model."""
    images: NDArray[np.float32]
    """Training images, float32 (n, height, width, channels), 0-255, from which int8 takes the range of each tensor."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format, with its functions to write and to run a model.

    Args:
        path: the default file or folder; the suffix of a file is that of the format.
        write: writes a model to a new file or into an empty folder.
        load: returns the function that runs what was written, on the CPU with one thread per core.
        contents: names in a folder of this format; empty if the format is a file.
        is_exact: whether the probabilities are those of the Keras model, except for rounding.
        package: the package that it needs, of the extra of the format's name; None: a dependency of this project.
    """

    path: Path
    write: Callable[[Path, Source], None]
    load: Callable[[Path], Predict]
    contents: frozenset[str] = frozenset()
    is_exact: bool = True
    package: str | None = None


def check_package(name: str) -> None:
    """Check that the package that a format needs is installed.

    Raises:
        UserError: it is not.
    """
    package = FORMATS[name].package
    if package and not find_spec(package.replace("-", "_")):
        raise UserError(
            f"{name} needs the package {package}, which is not installed", f"make setup EXTRA=--extra={name}"
        )


def _export(model: "keras.Model", path: Path, name: str) -> None:
    """Write with Keras' own export, which needs a model that was called."""
    from reprocnn.backend import quiet

    model(np.zeros((1, *model.input_shape[1:]), np.float32))
    with quiet():
        model.export(str(path), format=name, verbose=False)


def _write_saved_model(path: Path, source: Source) -> None:
    _export(source.model, path, "tf_saved_model")


def _load_saved_model(path: Path) -> Predict:
    from reprocnn.backend import tf

    saved = tf.saved_model.load(path)
    return lambda images: saved.serve(images).numpy()


def _write_litert(path: Path, source: Source) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.tflite")  # Keras insists on the suffix
        _export(source.model, file, "litert")
        shutil.copyfile(file, path)


def _load_litert(path: Path) -> Predict:
    """Run the model with LiteRT's own interpreter: TensorFlow's is deprecated and warns at each use."""
    from ai_edge_litert.interpreter import Interpreter

    from reprocnn.backend import quiet

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    with quiet():  # it prints the name of its delegate
        interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    (output,) = runner.get_output_details()
    return lambda images: runner(image=images)[output]


def _write_openvino(path: Path, source: Source) -> None:
    # Without this package, which OpenVINO does not need, it sends no usage data to its maker.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    _export(source.model, path / "model.xml", "openvino")


def _load_openvino(path: Path) -> Predict:
    """Run the model in float32: on CPUs with bfloat16, OpenVINO's default is bfloat16, off by up to 1e-2."""
    import openvino

    compiled = openvino.compile_model(path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: compiled(images)[0]


def _write_int8(path: Path, source: Source) -> None:
    from reprocnn.export.int8 import write_int8

    write_int8(path, source.onnx, source.images)


def load_onnx(path: Path) -> Predict:
    """Return the function that runs an ONNX file."""
    from reprocnn.inference.classifier import Classifier

    return Classifier(path).probabilities


FORMATS: Mapping[str, Format] = {
    "litert": Format(
        path=Path("models/model.tflite"),
        write=_write_litert,
        load=_load_litert,
        package="ai-edge-litert",
    ),
    "tf_saved_model": Format(
        path=Path("models/saved_model"),
        write=_write_saved_model,
        load=_load_saved_model,
        contents=frozenset({"assets", "fingerprint.pb", "saved_model.pb", "variables"}),
    ),
    "openvino": Format(
        path=Path("models/openvino"),
        write=_write_openvino,
        load=_load_openvino,
        contents=frozenset({"model.bin", "model.xml"}),
        package="openvino",
    ),
    "onnx_int8": Format(
        path=Path("models/model_int8.onnx"),
        write=_write_int8,
        load=load_onnx,
        is_exact=False,
    ),
}
"""Name, as Keras calls it -> format."""
