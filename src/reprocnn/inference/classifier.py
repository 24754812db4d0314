"""Classify images with a model in an ONNX file."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .info import ModelInfo, from_metadata
from .temperature import apply_temperature

# As environment.py sets it, for an MLflow model or a notebook. ONNX Runtime reads it when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

BATCH = 64
"""Images per call of the model; larger batches are not faster and need more memory."""
_ERRORS_ONLY = 3
_INVALID_FILE = (
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.Fail,
    onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
)


class Classifier:
    """A trained model, which runs with ONNX Runtime on the CPU.

    Args:
        path: the ONNX file, as train writes it.
        threads: threads per operation; 0: one per core.
        white: value of white of images with more than 8 bits per channel, above 0; None: that of the training.

    Raises:
        OSError: the file does not exist or can't be read.
        ValueError: it is not an ONNX file of this project, or `white` is not above 0.
    """

    def __init__(self, path: Path, threads: int = 0, white: float | None = None) -> None:
        if white is not None and not white > 0:
            raise ValueError(f"expected a value of white above 0, found {white}")
        content = path.read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except _INVALID_FILE:
            raise ValueError("not a valid ONNX file") from None
        self.info: ModelInfo = from_metadata(self._session.get_modelmeta().custom_metadata_map)
        self._temperature: float | None = None
        self._check_shapes()
        if white is not None:
            self.info = replace(self.info, white=white)

    def _check_shapes(self) -> None:
        """Check that the model takes and gives what its metadata says."""
        found = [(value.name, value.shape[1:]) for value in (*self._session.get_inputs(), *self._session.get_outputs())]
        expected = [("image", list(self.info.image_shape)), ("probabilities", [len(self.class_names)])]
        if found != expected:
            raise ValueError(f"its metadata says {expected}, its inputs and outputs are {found}")

    def calibrated(self) -> "Classifier":
        """Return the same model with calibrated probabilities: with the temperature that train fitted.

        Raises:
            ValueError: the file has no temperature.
        """
        if self.info.temperature is None:
            raise ValueError("the model has no temperature: an older version of this project trained it")
        other = copy.copy(self)
        other._temperature = self.info.temperature
        return other

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class name of each output, in output order."""
        return self.info.class_names

    def probabilities(self, images: ArrayLike) -> NDArray[np.float32]:
        """Return the probability of each class for each image.

        Args:
            images: (n, height, width, channels) of any number type, raw pixels 0-255, of the size that the model takes.

        Returns:
            float32 (n, classes), 0-1.

        Raises:
            ValueError: the images have another shape.
            MemoryError: memory is short.
        """
        pixels = np.asarray(images)
        if pixels.shape[1:] != self.info.image_shape:
            expected = ", ".join(map(str, self.info.image_shape))
            raise ValueError(f"expected images of shape (n, {expected}), found {pixels.shape}")
        parts = [self._run(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
        found = np.concatenate(parts) if parts else np.empty((0, len(self.class_names)), np.float32)
        if self._temperature is None:
            return found
        return apply_temperature(found, self._temperature).astype(np.float32)

    def _run(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        try:
            return self._session.run(None, {"image": pixels.astype(np.float32)})[0]
        except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
            if "Failed to allocate memory" in str(error):
                raise MemoryError from None
            raise
