"""A classifier of colours, as an ONNX file that is made without TensorFlow."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reprocnn.inference.info import ModelInfo

SIZE = 4
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
INFO = ModelInfo("colours", "linear", tuple(COLOURS), (SIZE, SIZE, 3), None, "0" * 32, temperature=2.0)


def write_tiny_model(path: Path, info: ModelInfo = INFO) -> Path:
    """Write a model whose classes are the strongest channel of the image: softmax of 1/50 of the mean of each."""
    height, width, channels = info.image_shape
    weights = np.tile(np.eye(channels, len(info.class_names), dtype=np.float32), (height * width, 1))
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", height, width, channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(info.class_names)])],
        [numpy_helper.from_array(weights / (50 * height * width), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, info.to_metadata())
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
