"""A bundle's FP32 network as a plain list of layers, for runtimes that do not read ONNX."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper


class NotComparableError(ValueError):
    """A network is no plain chain of the layers below, so other runtimes cannot be given it."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with stride 1.

    Attributes:
        weight: (out, in, height, width).
        bias: (out,).
        padding: "same" keeps height and width, "valid" pads nothing.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    padding: Literal["same", "valid"]


@dataclass(frozen=True)
class MaxPool:
    """The largest of each size x size pixels; incomplete ones are left out."""

    size: int


@dataclass(frozen=True)
class Dense:
    """`weight @ features + bias`; weight is (out, in), features run (channel, height, width)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Divide:
    """All divided by one number: the temperature of the logits."""

    divisor: float


Layer = Convolution | MaxPool | Dense | Divide | Literal["relu", "flatten", "softmax", "sigmoid"]

_CAST_TO_FLOAT32 = {"to": onnx.TensorProto.FLOAT}


def read_layers(network: bytes) -> list[Layer]:
    """Return the layers of an ONNX network, from normalised patches to probabilities.

    Raises:
        NotComparableError: an operator or a form of one is not among the layers here.
    """
    graph = onnx.load_from_string(network).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers: list[Layer] = []
    flowing = graph.input[0].name
    for node in graph.node:
        options = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "Constant":
            arrays[node.output[0]] = numpy_helper.to_array(options["value"])
            continue
        constants = [arrays[name] for name in node.input[1:] if name in arrays]
        if node.input[0] != flowing or len(constants) != len(node.input) - 1:
            raise NotComparableError(f"the network branches at its {node.op_type}")
        flowing = node.output[0]
        if node.op_type != "Identity" and not (node.op_type == "Cast" and options == _CAST_TO_FLOAT32):
            layers.append(_layer(node, options, constants))
    return layers


def _layer(node: NodeProto, options: dict[str, Any], constants: list[NDArray[Any]]) -> Layer:
    kind = node.op_type
    if kind == "Conv" and len(constants) == 2 and _plain(options) and _padding(options):
        return Convolution(constants[0], constants[1], _padding(options) or "valid")
    if kind == "MaxPool" and _is_square_pool(options):
        return MaxPool(options["kernel_shape"][0])
    if kind == "Gemm" and len(constants) == 2 and options == {"alpha": 1.0, "beta": 1.0, "transB": 1}:
        return Dense(constants[0], constants[1])
    if kind == "Div" and constants[0].size == 1:
        return Divide(float(constants[0]))
    if kind == "Relu":
        return "relu"
    if kind == "Flatten" and options.get("axis", 1) == 1:
        return "flatten"
    if kind == "Softmax" and options.get("axis", -1) in (1, -1):
        return "softmax"
    if kind == "Sigmoid":
        return "sigmoid"
    shown = ", ".join(f"{name} {value}" for name, value in options.items())
    raise NotComparableError(f"the network holds a {kind}{f' ({shown})' if shown else ''}")


def _plain(options: dict[str, Any]) -> bool:
    """Return whether a convolution has neither stride nor dilation nor groups."""
    return {1, *options.get("strides", ()), *options.get("dilations", ()), options.get("group", 1)} == {1}


def _padding(options: dict[str, Any]) -> Literal["same", "valid"] | None:
    named = options.get("auto_pad", b"NOTSET")
    pads, kernel = options.get("pads", [0, 0, 0, 0]), options["kernel_shape"]
    half = [size // 2 for size in kernel]
    if named == b"SAME_UPPER" or (named == b"NOTSET" and pads == [*half, *half] and kernel[0] % 2 == 1):
        return "same"
    return "valid" if named == b"VALID" or (named == b"NOTSET" and not any(pads)) else None


def _is_square_pool(options: dict[str, Any]) -> bool:
    size = options["kernel_shape"][0]
    return (
        options["kernel_shape"] == [size, size] == options.get("strides")
        and {1, *options.get("dilations", ())} == {1}
        and not any(options.get("pads", ()))
        and not options.get("ceil_mode", 0)
        and options.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    )
