"""Write a Keras model as an ONNX file. The same model gives the same bytes."""

import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
from numpy.typing import NDArray
from tf2onnx import utils
from tf2onnx.graph import Graph

from reprocnn.artifacts.files import atomic_file
from reprocnn.backend import keras, quiet
from reprocnn.export.difference import check, largest_difference
from reprocnn.inference.classifier import Classifier
from reprocnn.inference.info import ModelInfo

_OPSET = 17
"""Version of the ONNX operators; fixed, so that another version of the converter does not change it."""


def export_onnx(
    path: Path,
    model: keras.Model,
    info: ModelInfo,
    batches: Iterable[NDArray[np.float32]],
    expected: NDArray[np.float32],
    *,
    threads: int = 0,
) -> float:
    """Write a model as ONNX, if its probabilities are those of the Keras model.

    Its input is `image`, float32 (N, height, width, channels), 0-255, and its output `probabilities`, float32
    (N, classes), 0-1, for any N.

    Args:
        path: the file to write.
        model: a model that takes raw pixels, 0-255.
        info: what the metadata of the file says about the model.
        batches: the images on which both models are compared, float32 (n, height, width, channels), 0-255.
        expected: the probabilities of the model for these images, float32 (N, classes), 0-1.
        threads: threads per operation; 0: one per core.

    Returns:
        The largest difference of a probability, rounded up to a power of ten.

    Raises:
        UserError: the difference is larger than 1e-4.
    """
    with atomic_file(path) as partial:
        partial.write_bytes(_convert(model, info).SerializeToString(deterministic=True))
        difference = largest_difference(expected, Classifier(partial, threads).probabilities, batches)
        check(path, difference)
    return difference


def _convert(model: keras.Model, info: ModelInfo) -> onnx.ModelProto:
    """Convert with Keras' own export, which uses tf2onnx, and remove what varies between two exports."""
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # export needs a model that was called
    with tempfile.TemporaryDirectory() as folder, quiet(), warnings.catch_warnings(), _in_fixed_order():
        warnings.simplefilter("ignore", FutureWarning)  # Keras' patch of tf2onnx looks for `np.object`
        file = f"{folder}/model.onnx"
        model.export(file, format="onnx", verbose=False, opset_version=_OPSET)
        converted = onnx.load(file)
    _set_stable_names(converted.graph)
    converted.producer_version = ""
    converted.graph.doc_string = ""  # names the traced function, with a counter
    onnx.helper.set_model_props(converted, info.to_metadata())
    return converted


@contextmanager
def _in_fixed_order() -> Iterator[None]:
    """Let tf2onnx go through the nodes of a graph in the order of their names.

    Its optimizer goes through sets of nodes and of names, whose order differs from call to call, and then gives one of
    several graphs if feature maps have a single pixel. The names end in a counter: after `__99` comes `__100`, so here
    it starts with six digits.
    """

    def in_order(method: Any) -> Any:
        return lambda *arguments, **options: sorted(method(*arguments, **options), key=lambda node: node.name)

    ordered = {name: in_order(getattr(Graph, name)) for name in ("extract_sub_graph_nodes", "find_output_consumers")}
    with patch.multiple(Graph, **ordered), patch.object(utils, "INTERNAL_NAME", 100_000):
        yield


def _set_stable_names(graph: onnx.GraphProto) -> None:
    """Name nodes and tensors by their order, because the converter's names contain counters of the process.

    Of equal constants the converter keeps any one, so the constants are sorted by their first use.
    """
    graph.name, names = "model", {graph.input[0].name: "image"}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for place, tensor in enumerate(node.input):
            names.setdefault(tensor, f"{node.name}.{place}")
        names.update(dict.fromkeys(node.output, node.name))
    names[graph.output[0].name] = "probabilities"
    for node in graph.node:
        node.input[:] = [names[tensor] for tensor in node.input]
        node.output[:] = [names[tensor] for tensor in node.output]
    order = {name: number for number, name in enumerate(names.values())}
    constants = sorted(graph.initializer, key=lambda constant: order[names[constant.name]])
    for constant in constants:
        constant.name = names[constant.name]
    del graph.initializer[:]
    graph.initializer.extend(constants)
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "N"
