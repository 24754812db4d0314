"""Quantize an ONNX file to int8."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from reprocnn.inference.classifier import BATCH


def write_int8(path: Path, source: Path, images: NDArray[np.float32]) -> None:
    """Write a model whose weights and activations are int8; its softmax stays float32.

    Each channel of the weights has its own scale. Each activation has the range that it has on the images. The same
    file, images and kind of CPU give the same bytes. The metadata is that of the source.

    Args:
        path: the file to write.
        source: the ONNX file, as train writes it.
        images: float32 (n, height, width, channels), 0-255.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder, "prepared.onnx")
        quant_pre_process(source, prepared, skip_symbolic_shape=True)  # symbolic shapes matter for transformers only
        softmax = [node.name for node in onnx.load(prepared).graph.node if node.op_type == "Softmax"]
        quantize_static(
            prepared,
            path,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 7 bits: with 8, the sums of 16 bits of CPUs without VNNI overflow
            nodes_to_exclude=softmax,
        )
    quantized = onnx.load(path)
    metadata = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    onnx.helper.set_model_props(quantized, metadata)
    path.write_bytes(quantized.SerializeToString(deterministic=True))


class _Images(CalibrationDataReader):
    """The images in batches, in their order."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self._batches = iter([images[start : start + BATCH] for start in range(0, len(images), BATCH)])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch, or None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}
