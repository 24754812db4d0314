"""A classifier of colours, as an ONNX file that is made without TensorFlow."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from reprocnn.inference.info import ModelInfo

SIZE = 4
Colours = Mapping[str, tuple[int, ...]]
COLOURS: Colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def tiny_info(
    colours: Colours = COLOURS, size: tuple[int, int] = (SIZE, SIZE), white: float | None = None
) -> ModelInfo:
    """Return what the metadata of a tiny model says; `size` is the height and width of its images."""
    (channels,) = {len(colour) for colour in colours.values()}
    return ModelInfo("colours", "linear", tuple(colours), (*size, channels), white, "0" * 32, temperature=2.0)


INFO = tiny_info()


def write_tiny_model(path: Path, colours: Colours = COLOURS, info: ModelInfo | None = None) -> Path:
    """Write a model whose answer is the colour that is nearest to the mean colour of the image.

    Args:
        path: the file to write.
        colours: class name -> its colour, 0-255, 1 or 3 channels.
        info: its metadata; None: `tiny_info(colours)`.
    """
    info = info or tiny_info(colours)
    height, width, channels = info.image_shape
    values = np.array(list(colours.values()), np.float32).T
    weights = np.tile(values, (height * width, 1)) / (height * width)
    constants = {"weights": weights, "half": (values**2).sum(axis=0) / 2, "scale": np.float32(50 * 255)}
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Sub", ["product", "half"], ["difference"]),
        helper.make_node("Div", ["difference", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", height, width, channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(colours)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, info.to_metadata())
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
