"""What each operator that is taken makes of shapes, against ONNX Runtime, drawn at random."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from colvi_edge.onnx.arrays import Array
from colvi_edge.onnx.network import RULES, apply
from colvi_edge.onnx.reading import DTYPES, read_graph

node = helper.make_node


class Draw:
    """Draws a node and its inputs; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.inputs: dict[str, NDArray[Any]] = {}

    def number(self, low: int, high: int) -> int:
        """A number, both ends included."""
        return int(self._random.integers(low, high + 1))

    def numbers(self, count: int, low: int, high: int) -> list[int]:
        """Some numbers."""
        return [self.number(low, high) for _ in range(count)]

    def chance(self) -> bool:
        """Heads or tails."""
        return bool(self._random.integers(2))

    def order(self, count: int) -> list[int]:
        """Numbers below count in any order."""
        return [int(number) for number in self._random.permutation(count)]

    def give(self, array: object, dtype: str = "float32") -> str:
        """Make an input of an array; return its name."""
        name = f"i{len(self.inputs)}"
        self.inputs[name] = np.asarray(array, dtype)
        return name

    def array(self, *shape: int, dtype: str = "float32") -> str:
        """An input of this shape, without zeros."""
        return self.give(self._random.integers(1, 4, shape), dtype)

    def shape(self, low: int = 1, high: int = 4) -> list[int]:
        """A shape of so many dimensions."""
        return self.numbers(self.number(low, high), 1, 5)


def broadcast_pair(draw: Draw) -> tuple[list[int], list[int]]:
    """Two shapes that fit each other."""
    whole = draw.shape()
    shapes = [[side if draw.chance() else 1 for side in whole] for _ in range(2)]
    return shapes[0], shapes[1][draw.number(0, len(whole) - 1) :]


def plain(operator: str) -> Callable[[Draw], NodeProto]:
    """A function of one array."""
    return lambda draw: node(operator, [draw.array(*draw.shape())], ["o"])


def pair(operator: str) -> Callable[[Draw], NodeProto]:
    """A function of two, whole numbers or not."""

    def build(draw: Draw) -> NodeProto:
        dtype = "int64" if draw.chance() else "float32"
        return node(operator, [draw.array(*shape, dtype=dtype) for shape in broadcast_pair(draw)], ["o"])

    return build


def windows(draw: Draw, kernel: list[int]) -> dict[str, Any]:
    """Attributes of a convolution or pool."""
    if draw.number(0, 3) == 0:
        automatic = ["SAME_UPPER", "SAME_LOWER", "VALID"][draw.number(0, 2)]
        return {"strides": draw.numbers(2, 1, 3), "auto_pad": automatic}
    pads = [draw.number(0, (side - 1) // 2) for side in (*kernel, *kernel)]
    return {"strides": draw.numbers(2, 1, 3), "pads": pads}


def convolution(draw: Draw) -> NodeProto:
    """Conv, with groups and dilations."""
    groups, kernel = draw.number(1, 3), draw.numbers(2, 1, 4)
    held, filters = draw.number(1, 3), groups * draw.number(1, 3)
    given = [draw.array(2, groups * held, *draw.numbers(2, 9, 12)), draw.array(filters, held, *kernel)]
    bias = [draw.array(filters)] if draw.chance() else []
    how = windows(draw, kernel)
    if "auto_pad" not in how:
        how["dilations"] = draw.numbers(2, 1, 2)
    return node("Conv", [*given, *bias], ["o"], group=groups, **how)


def transposed_convolution(draw: Draw) -> NodeProto:
    """ConvTranspose."""
    groups, kernel, strides = draw.number(1, 2), draw.numbers(2, 1, 4), draw.numbers(2, 2, 3)
    held, filters = draw.number(1, 2), draw.number(1, 3)
    maps = draw.array(2, groups * held, *draw.numbers(2, 4, 6))
    given = [maps, draw.array(groups * held, filters, *kernel)]
    pads = [draw.number(0, (side - 1) // 2) for side in (*kernel, *kernel)]
    more = draw.numbers(2, 0, 1)
    return node("ConvTranspose", given, ["o"], group=groups, strides=strides, pads=pads, output_padding=more)


def pool(operator: str) -> Callable[[Draw], NodeProto]:
    """MaxPool and AveragePool, rounded up or down."""

    def build(draw: Draw) -> NodeProto:
        kernel = draw.numbers(2, 1, 4)
        how = windows(draw, kernel)
        if "pads" in how:
            how["ceil_mode"] = draw.number(0, 1)
        else:  # windows that lie apart are padded by more than a window, which is an error
            how["strides"] = [min(steps) for steps in zip(how["strides"], kernel, strict=True)]
        return node(operator, [draw.array(1, 2, *draw.numbers(2, 6, 11))], ["o"], kernel_shape=kernel, **how)

    return build


def reduce(operator: str) -> Callable[[Draw], NodeProto]:
    """Reductions: axes as an attribute or, of ReduceSum, as an input."""

    def build(draw: Draw) -> NodeProto:
        shape = draw.shape()
        some = draw.order(len(shape))[: draw.number(0, len(shape))]
        axes = [axis - len(shape) * draw.chance() for axis in some]
        array, keeps = draw.array(*shape), draw.number(0, 1)
        if operator == "ReduceSum":
            inputs = [array, draw.give(axes, "int64")] if axes else [array]
            return node(operator, inputs, ["o"], keepdims=keeps, noop_with_empty_axes=draw.number(0, 1))
        how: dict[str, Any] = {"axes": axes} if axes else {}
        return node(operator, [array], ["o"], keepdims=keeps, **how)

    return build


def resize(draw: Draw) -> NodeProto:
    """Resize by scales or sizes."""
    array, mode = draw.array(1, 2, *draw.numbers(2, 3, 7)), ["nearest", "linear", "cubic"][draw.number(0, 2)]
    if draw.chance():
        sizes = draw.give([1, 2, *draw.numbers(2, 1, 15)], "int64")
        return node("Resize", [array, "", "", sizes], ["o"], mode=mode)
    scales = draw.give([1, 1, *(draw.number(4, 30) / 10 for _ in range(2))])
    return node("Resize", [array, "", scales], ["o"], mode=mode)


def pad(draw: Draw) -> NodeProto:
    """Pad in three ways."""
    mode = ["constant", "edge", "reflect"][draw.number(0, 2)]
    low = -1 if mode == "constant" else 0
    return node("Pad", [draw.array(3, 4, 5), draw.give(draw.numbers(6, low, 2), "int64")], ["o"], mode=mode)


def gemm(draw: Draw) -> NodeProto:
    """Gemm, turned or not."""
    rows, inner, columns = draw.numbers(3, 1, 6)
    turn_a, turn_b = draw.number(0, 1), draw.number(0, 1)
    left = (inner, rows) if turn_a else (rows, inner)
    right = (columns, inner) if turn_b else (inner, columns)
    third = [draw.array(*[(columns,), (1, columns), (rows, 1)][draw.number(0, 2)])] if draw.chance() else []
    return node("Gemm", [draw.array(*left), draw.array(*right), *third], ["o"], transA=turn_a, transB=turn_b)


def matmul(draw: Draw) -> NodeProto:
    """MatMul of stacks."""
    rows, inner, columns = draw.numbers(3, 1, 6)
    one, other = broadcast_pair(draw)
    return node("MatMul", [draw.array(*one, rows, inner), draw.array(*other, inner, columns)], ["o"])


def reshape(draw: Draw) -> NodeProto:
    """Reshape with 0 and -1."""
    sides = draw.numbers(3, 1, 4)
    wanted = [[0, -1], [-1], [sides[1] * sides[0], -1], [0, 0, sides[2]], [-1, sides[1], 1, sides[2]]]
    return node("Reshape", [draw.array(*sides), draw.give(wanted[draw.number(0, 4)], "int64")], ["o"])


def slice_(draw: Draw) -> NodeProto:
    """Slice: from either end, with steps of either sign."""
    axes = draw.order(3)[: draw.number(1, 3)]
    steps = [[1, 2, -1, -2][draw.number(0, 3)] for _ in axes]
    starts = [draw.number(0, 1) if step > 0 else draw.number(-2, -1) for step in steps]
    last = {True: [2**62, -1, 3], False: [-(2**62), -5, 0]}
    ends = [last[step > 0][draw.number(0, 2)] for step in steps]
    given = [draw.give(part, "int64") for part in (starts, ends, axes, steps)]
    array = draw.array(5, 5, 5, dtype="int64" if draw.chance() else "float32")
    return node("Slice", [array, *given], ["o"])


def split(draw: Draw) -> NodeProto:
    """Split, evenly or as told."""
    lengths = draw.numbers(3, 1, 3)
    if draw.chance():
        given = [draw.array(2, sum(lengths)), draw.give(lengths, "int64")]
        return node("Split", given, ["o", "p", "q"], axis=-1)
    return node("Split", [draw.array(2, 6)], ["o", "p", "q"], axis=1)


def concat(draw: Draw) -> NodeProto:
    """Concat of arrays or of shapes."""
    shape, axis = draw.shape(), draw.number(0, 9)
    axis %= len(shape)
    shapes = [[draw.number(1, 3) if k == axis else side for k, side in enumerate(shape)] for _ in range(3)]
    arrays = [draw.array(*one, dtype="int64") for one in shapes]
    return node("Concat", arrays, ["o"], axis=axis - len(shape) * draw.chance())


def gather(draw: Draw) -> NodeProto:
    """Gather at places of any shape."""
    shape = draw.shape()
    axis = draw.number(0, len(shape) - 1)
    numbers = draw.numbers(4, -shape[axis], shape[axis] - 1)
    places = np.reshape(numbers, [(4,), (2, 2), (4, 1)][draw.number(0, 2)])
    at = draw.give(places if draw.chance() else 0, "int64")
    return node("Gather", [draw.array(*shape, dtype="int64"), at], ["o"], axis=axis)


def squeeze(draw: Draw) -> NodeProto:
    """Squeeze of all that is 1, or of some."""
    array = draw.array(1, 3, 1, 2, dtype="int64")
    axes = [[0], [0, 2], [-2]][draw.number(0, 2)]
    return node("Squeeze", [array, draw.give(axes, "int64")] if draw.chance() else [array], ["o"])


def unsqueeze(draw: Draw) -> NodeProto:
    """Unsqueeze at either end."""
    axes = [[0], [0, 2], [-1], [-1, 1], [3, 0]][draw.number(0, 4)]
    return node("Unsqueeze", [draw.array(2, 3, dtype="int64"), draw.give(axes, "int64")], ["o"])


def expand(draw: Draw) -> NodeProto:
    """Expand, by NumPy's rule."""
    one, other = broadcast_pair(draw)
    return node("Expand", [draw.array(*one), draw.give(other, "int64")], ["o"])


def where(draw: Draw) -> NodeProto:
    """Where, of three shapes."""
    one, other = broadcast_pair(draw)
    given = [draw.array(*one, dtype="bool"), draw.array(*other, dtype="int64"), draw.array(1, dtype="int64")]
    return node("Where", given, ["o"])


def constant(draw: Draw) -> NodeProto:
    """Constant, in all ways that are read."""
    values: list[dict[str, Any]] = [
        {"value": numpy_helper.from_array(np.array([[1, 2]], np.int8))},
        *({"value_int": 3}, {"value_ints": [1, 2]}, {"value_float": 0.5}, {"value_floats": [0.5, 1.5]}),
    ]
    return node("Constant", [], ["o"], **values[draw.number(0, 4)])


def filled(draw: Draw) -> NodeProto:
    """ConstantOfShape, of its own value or of another."""
    how = {"value": numpy_helper.from_array(np.array([7], np.int64))} if draw.chance() else {}
    return node("ConstantOfShape", [draw.give(draw.shape(), "int64")], ["o"], **how)


def quantise(draw: Draw) -> NodeProto:
    """QuantizeLinear, with one scale or one a channel."""
    axis = draw.number(0, 2)
    shape = draw.numbers(3, 1, 4)
    scale = () if draw.chance() else (shape[axis],)
    dtype = "int8" if draw.chance() else "uint8"
    given = [draw.array(*shape), draw.array(*scale), draw.array(*scale, dtype=dtype)]
    return node("QuantizeLinear", given[: draw.number(2, 3)], ["o"], axis=axis - 3 * draw.chance())


def dequantise(draw: Draw) -> NodeProto:
    """DequantizeLinear likewise."""
    shape = draw.numbers(3, 1, 4)
    scale = () if draw.chance() else (shape[1],)
    given = [draw.array(*shape, dtype="int8"), draw.array(*scale), draw.array(*scale, dtype="int8")]
    return node("DequantizeLinear", given[: draw.number(2, 3)], ["o"])


def layer_normalisation(draw: Draw) -> NodeProto:
    """LayerNormalization over the last axes."""
    shape = draw.numbers(3, 1, 4)
    axis = draw.number(0, 2)
    given = [draw.array(*shape), draw.array(*shape[axis:]), draw.array(*shape[axis:])]
    return node("LayerNormalization", given[: draw.number(2, 3)], ["o"], axis=axis - 3 * draw.chance())


def shape_of(draw: Draw) -> NodeProto:
    """Shape, or a part of it."""
    how: dict[str, Any] = {"start": draw.number(-3, 2), "end": draw.number(-2, 4)} if draw.chance() else {}
    return node("Shape", [draw.array(*draw.shape())], ["o"], **how)


def transpose(draw: Draw) -> NodeProto:
    """Transpose: of its own accord backwards."""
    shape = draw.shape()
    how: dict[str, Any] = {"perm": draw.order(len(shape))} if draw.chance() else {}
    return node("Transpose", [draw.array(*shape, dtype="int64")], ["o"], **how)


def flatten(draw: Draw) -> NodeProto:
    """Flatten at any axis."""
    shape = draw.shape()
    return node("Flatten", [draw.array(*shape)], ["o"], axis=draw.number(-len(shape), len(shape)))


def blocks(operator: str) -> Callable[[Draw], NodeProto]:
    """DepthToSpace and SpaceToDepth."""

    def build(draw: Draw) -> NodeProto:
        size, deep = draw.number(1, 3), operator == "DepthToSpace"
        sides = (1, 2 * size**2, 2, 3) if deep else (1, 2, 2 * size, 3 * size)
        return node(operator, [draw.array(*sides)], ["o"], blocksize=size)

    return build


def norm(operator: str, parts: int) -> Callable[[Draw], NodeProto]:
    """Normalisations with numbers for each channel."""
    return lambda draw: node(
        operator, [draw.array(2, 3, 4, 5), *(draw.array(3) for _ in range(parts))], ["o"]
    )


def axis(operator: str) -> Callable[[Draw], NodeProto]:
    """A function along an axis."""

    def build(draw: Draw) -> NodeProto:
        shape = draw.shape()
        return node(operator, [draw.array(*shape)], ["o"], axis=draw.number(-len(shape), len(shape) - 1))

    return build


def maps(operator: str) -> Callable[[Draw], NodeProto]:
    """A function of whole maps."""
    return lambda draw: node(operator, [draw.array(2, 3, *draw.numbers(2, 1, 5))], ["o"])


BUILDERS: dict[str, Callable[[Draw], NodeProto]] = {
    **{
        name: plain(name)
        for name in (
            *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid", "HardSwish"),
            *("Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Exp", "Log", "Sqrt", "Reciprocal"),
            *("Identity", "Abs", "Neg", "Floor", "Ceil"),
        )
    },
    **{name: pair(name) for name in ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Equal")},
    **{name: reduce(name) for name in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2")},
    "Clip": lambda draw: node(
        "Clip", [draw.array(3, 4), ["", draw.array()][draw.chance()], draw.array()], ["o"]
    ),
    "PRelu": lambda draw: node("PRelu", [draw.array(2, 3, 4, 5), draw.array(3, 1, 1)], ["o"]),
    "BatchNormalization": norm("BatchNormalization", 4),
    "InstanceNormalization": norm("InstanceNormalization", 2),
    "LayerNormalization": layer_normalisation,
    "Softmax": axis("Softmax"),
    "LogSoftmax": axis("LogSoftmax"),
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "MaxPool": pool("MaxPool"),
    "AveragePool": pool("AveragePool"),
    "GlobalAveragePool": maps("GlobalAveragePool"),
    "GlobalMaxPool": maps("GlobalMaxPool"),
    "Resize": resize,
    "Pad": pad,
    "Gemm": gemm,
    "MatMul": matmul,
    "QuantizeLinear": quantise,
    "DequantizeLinear": dequantise,
    "Cast": lambda draw: node("Cast", [draw.array(2, 3)], ["o"], to=list(DTYPES)[draw.number(0, 7)]),
    "Concat": concat,
    "Constant": constant,
    "ConstantOfShape": filled,
    "DepthToSpace": blocks("DepthToSpace"),
    "SpaceToDepth": blocks("SpaceToDepth"),
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Reshape": reshape,
    "Shape": shape_of,
    "Slice": slice_,
    "Split": split,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": where,
}


def test_every_operator_is_tried() -> None:
    """One that is taken without a test here could be anything."""
    assert set(BUILDERS) == set(RULES)


@pytest.mark.parametrize("operator", BUILDERS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_operator_makes_what_a_runtime_makes(operator: str, seed: int) -> None:
    """Shapes, dtypes, and the numbers where they are told."""
    draw = Draw(seed)
    made_by = BUILDERS[operator](draw)
    model = model_of(made_by, draw.inputs)
    expected = run(model)
    del model.graph.output[:]  # says nothing of their shapes
    graph = read_graph(model.SerializeToString(), RULES)
    given_ = [Array.of(graph.initializers[name]) if name else None for name in graph.nodes[0].inputs]

    made = apply(graph.nodes[0], given_)

    assert [(array.shape, array.dtype) for array in made] == [(one.shape, one.dtype) for one in expected]
    for array, one in zip(made, expected, strict=True):
        if array.values is not None:
            np.testing.assert_array_equal(array.values, one)


def model_of(made_by: NodeProto, inputs: dict[str, NDArray[Any]]) -> ModelProto:
    """A model of one node, whose inputs lie in the file."""
    graph = helper.make_graph(
        [made_by],
        "one",
        [],
        [helper.make_empty_tensor_value_info(name) for name in made_by.output],
        initializer=[numpy_helper.from_array(array, name) for name, array in inputs.items()],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def run(model: ModelProto) -> list[NDArray[Any]]:
    """What ONNX Runtime makes of it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found: list[NDArray[Any]] = session.run(None, {})
    return found
