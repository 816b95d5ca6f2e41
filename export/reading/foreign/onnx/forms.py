"""Operators of older and newer ONNX in the form that bundles have, opset 17: one form is checked and run.

    until     what it was                              becomes
    9         Upsample                                 Resize
    9, 10     Slice, Clip, Pad with attributes         with inputs
    10        Resize by scales alone                   with all its inputs
    12        Squeeze, Unsqueeze, Split by attributes  with inputs
    12        Softmax over all axes from one on        of a matrix, and its shape given back
    any       Dropout                                  Identity
    any       Sum, Tile                                Add, Concat
    from 18   Gelu, Mish, Swish, GroupNormalization    what they are made of

What is not in this table stays as it is: the rules of `colvi_edge.onnx` take it or refuse it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colvi_edge.onnx.network import RULES
from colvi_edge.onnx.reading import Attribute, Graph, NetworkError, Node, Tensor

OPSETS = range(9, 29)
"""Read of files of others; the newest that `onnx` 1.23 knows is 28."""

IR_VERSIONS = range(3, 15)

_QUANTISED = {"QuantizeLinear", "DequantizeLinear"}
_MORE = {"Dropout", "Gelu", "GroupNormalization", "Mish", "Sum", "Swish", "Tile", "Upsample"}

OPERATORS = RULES.keys() - _QUANTISED | _MORE
"""Taken in files of others."""

_MOST_COPIES = 64
"""Of a tensor by Tile along one axis."""


def in_known_form(graph: Graph) -> Graph:
    """Return a graph that does the same in the form of opset 17.

    Raises:
        NetworkError: an operator is used in a way that has no such form.
    """
    return _Rewriting(graph).graph()


class _Rewriting:
    """Rewrites one graph."""

    def __init__(self, graph: Graph) -> None:
        self._old = graph
        self._numbers = dict(graph.initializers)
        self._taken = {*graph.initializers, *(name for node in graph.nodes for name in node.outputs)}

    def graph(self) -> Graph:
        nodes = tuple(new for node in self._old.nodes for new in self._rewritten(node))
        inputs = tuple(one for one in self._old.inputs if one.name not in self._old.initializers)
        return replace(self._old, opset=17, nodes=nodes, initializers=self._numbers, inputs=inputs)

    def _rewritten(self, node: Node) -> Iterator[Node]:
        given = node.attributes
        if node.operator == "Constant" and isinstance(value := given.get("value"), Tensor):
            self._numbers[node.outputs[0]] = value
        elif node.operator == "Dropout":
            yield Node("Identity", node.inputs[:1], node.outputs[:1])
        elif node.operator == "BatchNormalization" and node.int("training_mode", 0):
            raise NetworkError("normalises each batch by itself, as in training; export it for inference")
        elif node.operator == "Upsample":
            yield self._resize(node, node.inputs[1:2] or [self._given(node, "scales", "float32")])
        elif node.operator == "Resize" and self._old.opset < 11:
            yield self._resize(node, node.inputs[1:2])
        elif node.operator == "Resize" and any(name in given for name in ("antialias", "axes")):
            if node.int("antialias", 0) or "axes" in given:
                raise NetworkError("resizes with smoothing, or along some axes; export it with opset 17")
            yield node
        elif node.operator in _AS_INPUTS and any(name in given for name in _AS_INPUTS[node.operator]):
            yield self._with_inputs(node)
        elif node.operator in ("Softmax", "LogSoftmax") and self._old.opset < 13:
            yield from self._softmax(node)
        elif node.operator in _MORE:
            yield from getattr(self, f"_{node.operator.lower()}")(node)
        else:
            yield node

    def _resize(self, node: Node, scales: Sequence[str]) -> Node:
        """Return the Resize of opset 11 of one that counted pixels from their corner."""
        how: dict[str, Attribute] = {
            "mode": node.text("mode", "nearest"),
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
        return Node("Resize", (node.inputs[0], "", *scales), node.outputs, how)

    def _with_inputs(self, node: Node) -> Node:
        """Return a node whose attributes have become inputs."""
        names = _AS_INPUTS[node.operator]
        inputs = [
            self._given(node, name, dtype) if name in node.attributes else "" for name, dtype in names.items()
        ]
        if node.operator == "Slice" and not inputs[2]:  # of the first axes, which the rules know
            inputs = inputs[:2]
        left = {name: value for name, value in node.attributes.items() if name not in names}
        return Node(node.operator, (node.inputs[0], *inputs), node.outputs, left)

    def _softmax(self, node: Node) -> Iterator[Node]:
        """Yield the softmax over all axes from one on, which is that over the last only of a matrix."""
        source, matrix, flat, shape = node.inputs[0], *(self._name() for _ in range(3))
        yield Node("Flatten", (source,), (matrix,), {"axis": node.int("axis", 1)})
        yield Node(node.operator, (matrix,), (flat,), {"axis": -1})
        yield Node("Shape", (source,), (shape,))
        yield Node("Reshape", (flat, shape), node.outputs)

    def _sum(self, node: Node) -> Iterator[Node]:
        *between, last = [self._name() for _ in node.inputs[1:]] or [""]
        if not last:
            yield Node("Identity", node.inputs, node.outputs)
            return
        total = node.inputs[0]
        for other, made in zip(node.inputs[1:], [*between, node.outputs[0]], strict=True):
            yield Node("Add", (total, other), (made,))
            total = made

    def _tile(self, node: Node) -> Iterator[Node]:
        repeats = self._numbers.get(node.inputs[1])
        copies = [] if repeats is None else [int(one) for one in repeats.array().ravel()]
        if repeats is None or not all(1 <= one <= _MOST_COPIES for one in copies):
            raise NetworkError(f"repeats a tensor by what is no number from 1 to {_MOST_COPIES}")
        source = node.inputs[0]
        for axis, times in enumerate(copies):
            if times > 1:
                made = self._name()
                yield Node("Concat", (source,) * times, (made,), {"axis": axis})
                source = made
        yield Node("Identity", (source,), node.outputs)

    def _gelu(self, node: Node) -> Iterator[Node]:
        """Yield x / 2 (1 + erf(x / sqrt 2)), or its approximation by tanh."""
        source = node.inputs[0]
        if node.text("approximate", "none") == "tanh":
            cube = self._name()
            yield Node("Pow", (source, self._number(3)), (cube,))
            small, inner = self._name(), self._name()
            yield Node("Mul", (cube, self._number(0.044715)), (small,))
            yield Node("Add", (source, small), (inner,))
            factor, bend = np.sqrt(2 / np.pi), "Tanh"
        else:
            inner, factor, bend = source, np.sqrt(0.5), "Erf"
        scaled, bent, raised, half = (self._name() for _ in range(4))
        yield Node("Mul", (inner, self._number(factor)), (scaled,))
        yield Node(bend, (scaled,), (bent,))
        yield Node("Add", (bent, self._number(1)), (raised,))
        yield Node("Mul", (source, self._number(0.5)), (half,))
        yield Node("Mul", (half, raised), node.outputs)

    def _mish(self, node: Node) -> Iterator[Node]:
        soft, bent = self._name(), self._name()
        yield Node("Softplus", node.inputs, (soft,))
        yield Node("Tanh", (soft,), (bent,))
        yield Node("Mul", (node.inputs[0], bent), node.outputs)

    def _swish(self, node: Node) -> Iterator[Node]:
        alpha = node.attributes.get("alpha", 1.0)
        if not isinstance(alpha, float):
            raise NetworkError("has no number in alpha of a node Swish")
        scaled, gate = self._name(), self._name()
        yield Node("Mul", (node.inputs[0], self._number(alpha)), (scaled,))
        yield Node("Sigmoid", (scaled,), (gate,))
        yield Node("Mul", (node.inputs[0], gate), node.outputs)

    def _groupnormalization(self, node: Node) -> Iterator[Node]:
        """Yield the normalisation of each group as if it were one channel, then each channel's own scale."""
        if self._old.opset < 21 or len(node.inputs) != 3:
            raise NetworkError("has GroupNormalization of an opset below 21; export it with opset 17")
        source, scale, bias = node.inputs
        groups = node.int("num_groups", 0)
        if not 1 <= groups <= 2**16:
            raise NetworkError("has GroupNormalization without groups")
        shape, folded, even, back, scaled = (self._name() for _ in range(5))
        ones, zeros = self._constant(np.ones(groups)), self._constant(np.zeros(groups))
        epsilon = node.attributes.get("epsilon", 1e-5)
        yield Node("Shape", (source,), (shape,))
        yield Node("Reshape", (source, self._constant([0, groups, -1], "int64")), (folded,))
        yield Node("InstanceNormalization", (folded, ones, zeros), (even,), {"epsilon": epsilon})
        yield Node("Reshape", (even, shape), (back,))
        wide = [self._name(), self._name()]
        for own, made in zip((scale, bias), wide, strict=True):
            yield Node("Unsqueeze", (own, self._constant([1, 2], "int64")), (made,))
        yield Node("Mul", (back, wide[0]), (scaled,))
        yield Node("Add", (scaled, wide[1]), node.outputs)

    def _given(self, node: Node, name: str, dtype: str) -> str:
        """Return the name of an attribute's numbers, as an input."""
        value = node.attributes.get(name)
        if not isinstance(value, int | float | tuple):
            raise NetworkError(f"has no numbers in {name} of a node {node.operator}")
        return self._constant(value, dtype)

    def _number(self, value: float) -> str:
        return self._constant(value)

    def _constant(self, values: ArrayLike, dtype: str = "float32") -> str:
        name = self._name()
        numbers: NDArray[np.float32] = np.asarray(values, dtype)
        self._numbers[name] = Tensor.of(numbers)
        return name

    def _name(self) -> str:
        """Return a name that nothing in the graph has."""
        name = next(name for k in count(len(self._taken)) if (name := f"form {k}") not in self._taken)
        self._taken.add(name)
        return name


_AS_INPUTS: Mapping[str, Mapping[str, str]] = {
    "Clip": {"min": "float32", "max": "float32"},
    "Pad": {"pads": "int64", "value": "float32"},
    "Slice": {"starts": "int64", "ends": "int64", "axes": "int64"},
    "Split": {"split": "int64"},
    "Squeeze": {"axes": "int64"},
    "Unsqueeze": {"axes": "int64"},
}
"""Attributes of old that have become inputs, in their order."""
