"""ONNX files made by the `onnx` package: a plain network, and one with something in its way."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

PATCH_PX = 8
IN, OUT = "patches", "probabilities"


def tensor(name: str, values: ArrayLike, dtype: str = "int64") -> TensorProto:
    """Numbers that lie in the file."""
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def constant(name: str, values: ArrayLike, dtype: str = "int64") -> NodeProto:
    """A node that gives numbers."""
    return helper.make_node("Constant", [], [name], value=tensor("", values, dtype))


def network(
    nodes: Sequence[NodeProto] = (),
    initializers: Sequence[TensorProto] = (),
    end: str = IN,
    patch: Sequence[int | str] = ("N", 2, PATCH_PX, PATCH_PX),
) -> ModelProto:
    """The mean of each of two channels as a softmax, after some nodes.

    Args:
        nodes: that come first.
        initializers: of those.
        end: their last output, (N, 2, ...); the patches themselves where there are none.
        patch: the shape of the input.
    """
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("GlobalAveragePool", [end], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("Softmax", ["flat"], [OUT]),
        ],
        "network",
        [helper.make_tensor_value_info(IN, TensorProto.FLOAT, patch)],
        [helper.make_tensor_value_info(OUT, TensorProto.FLOAT, ["N", 2])],
        initializer=list(initializers),
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def written(model: ModelProto) -> bytes:
    """The model as a file."""
    return bytes(model.SerializeToString(deterministic=True))


def identity_graph(name: str = "body") -> onnx.GraphProto:
    """A graph for a node to hold."""
    return helper.make_graph(
        [helper.make_node("Identity", [IN], [f"{name}_out"])],
        name,
        [],
        [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)],
    )
