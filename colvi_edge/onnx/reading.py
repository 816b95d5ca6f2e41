"""What an ONNX file says, read without running anything and without the `onnx` package.

Only plain graphs are read: nodes of ONNX's own operators on tensors that lie in this file. What could
lead elsewhere or never end is refused wherever it stands: data in another file, a graph within a node
(If, Loop, Scan), functions, operators of other makers.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.onnx import schema
from colvi_edge.onnx.protobuf import Budget, DamagedError, read, varints
from colvi_edge.printable import printable_name

OPSETS = range(13, 18)
"""The export writes 17; before 13 operators took as attributes what they now take as inputs."""

MOST_FIELDS = 200_000
"""Of all messages; a DenseNet-201 has 14,000."""

MOST_NODES = 10_000
MOST_DIMENSIONS = 8
MOST_VALUES = 1024
"""Of a tensor whose values are looked at: shapes, pads, places."""

_IR_VERSIONS = range(4, 14)
_OWN_DOMAINS = ("", "ai.onnx")
_LARGEST = 2**31 - 1

DTYPES = {
    number: np.dtype(name)
    for number, name in {
        **{1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64"},
        **{9: "bool", 10: "float16", 11: "float64"},
    }.items()
}
_TYPED_DATA = {
    np.dtype("float32"): "float_data",
    np.dtype("float64"): "double_data",
    np.dtype("int64"): "int64_data",
}
"""Where numbers lie that are not raw; those of all other types lie in int32_data."""

_ATTRIBUTE_FIELDS: Mapping[int, tuple[str, Any]] = {
    **{1: ("f", 0.0), 2: ("i", 0), 3: ("s", ""), 4: ("t", None)},
    **{6: ("floats", []), 7: ("ints", [])},
}
"""Of an attribute's type: where its value stands, and what it is where nothing stands."""


class NetworkError(ValueError):
    """A file is no network that is opened here; says what was found, and names no file."""


@dataclass(frozen=True)
class Tensor:
    """Numbers that lie in the file.

    Attributes:
        dims: its shape.
        dtype: of its numbers.
    """

    dims: tuple[int, ...]
    dtype: "np.dtype[Any]"
    _data: memoryview
    _is_varints: bool

    @classmethod
    def of(cls, numbers: NDArray[Any]) -> "Tensor":
        """Return numbers as if they lay in the file."""
        return cls(numbers.shape, numbers.dtype, memoryview(numbers.tobytes()), False)

    def values(self) -> NDArray[Any] | None:
        """Return its numbers where they are so few that they may be those of a shape; else None."""
        return self.array() if math.prod(self.dims) <= MOST_VALUES else None

    def array(self) -> NDArray[Any]:
        """Return all its numbers."""
        if not self._is_varints:
            return np.frombuffer(self._data, self.dtype.newbyteorder("<")).reshape(self.dims)
        numbers = np.array(varints(self._data, math.prod(self.dims)), np.int64)
        if self.dtype.kind == "f":  # float16 is kept as the integer of its bits
            return numbers.astype(np.uint16).view(np.float16).reshape(self.dims)
        return numbers.astype(self.dtype).reshape(self.dims)


Attribute = int | float | str | Tensor | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Node:
    """One step of a network; an input that is left out is an empty name."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def ints(self, name: str, default: Sequence[int]) -> tuple[int, ...]:
        """Return an attribute that holds integers, none beyond 31 bits."""
        found = self.attributes.get(name, tuple(default))
        if not isinstance(found, tuple) or not all(isinstance(one, int) for one in found):
            raise NetworkError(f"has no integers in {name} of a node {self.operator}")
        return tuple(_bounded(int(one), name) for one in found)

    def int(self, name: str, default: int) -> "int":
        """Return an attribute that holds an integer of at most 31 bits."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int):
            raise NetworkError(f"has no integer in {name} of a node {self.operator}")
        return _bounded(found, name)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that holds a word."""
        found = self.attributes.get(name, default)
        if not isinstance(found, str):
            raise NetworkError(f"has no word in {name} of a node {self.operator}")
        return found


@dataclass(frozen=True)
class Declared:
    """What a graph says of its input or its output; a dimension that is free is None."""

    name: str
    dtype: "np.dtype[Any]"
    dims: tuple[int | None, ...]


@dataclass(frozen=True)
class Graph:
    """A network: its nodes in the order in which they can be run."""

    opset: int
    nodes: tuple[Node, ...]
    initializers: Mapping[str, Tensor]
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]


def read_graph(
    data: bytes,
    operators: Collection[str],
    opsets: range = OPSETS,
    ir_versions: range = _IR_VERSIONS,
) -> Graph:
    """Return the network of an ONNX file.

    Args:
        data: the file.
        operators: of ONNX, that are taken.
        opsets: that are taken; a bundle's, if nothing else is said.
        ir_versions: of the file itself, likewise.

    Raises:
        NetworkError: it is damaged, holds more than a plain graph, or is larger than any network here.
    """
    try:
        return _Reader(Budget(MOST_FIELDS), operators, opsets, ir_versions).model(memoryview(data))
    except DamagedError as error:
        raise NetworkError(str(error)) from error


def shown(name: str) -> str:
    """Return a name of the file fit for a message."""
    return f"'{printable_name(name[:60])}'"


class _Reader:
    """Reads one file, on one budget."""

    def __init__(self, budget: Budget, operators: Collection[str], opsets: range, ir_versions: range) -> None:
        self._budget = budget
        self._operators = operators
        self._opsets = opsets
        self._ir_versions = ir_versions

    def model(self, data: memoryview) -> Graph:
        model = read(data, schema.MODEL, self._budget)
        if model.get("ir_version") not in self._ir_versions or "graph" not in model:
            raise NetworkError("is no ONNX of a version that is read here")
        opsets = [read(entry, schema.OPSET, self._budget) for entry in model.get("opset_import", ())]
        own = [entry.get("version", 0) for entry in opsets if entry.get("domain", "") in _OWN_DOMAINS]
        if len(own) != 1 or own[0] not in self._opsets:
            found = ", ".join(map(str, own)) or "none"
            raise NetworkError(f"is of opset {found}, {self._opsets[0]} to {self._opsets[-1]} are read")
        graph = read(model["graph"], schema.GRAPH, self._budget)
        nodes = graph.get("node", [])
        if len(nodes) > MOST_NODES:
            raise NetworkError(f"has {len(nodes)} nodes, at most {MOST_NODES} are read")
        initializers: dict[str, Tensor] = {}
        for entry in graph.get("initializer", ()):
            name, tensor = self._tensor(entry)
            if name in initializers:
                raise NetworkError(f"has two tensors {shown(name)}")
            initializers[name] = tensor
        return Graph(
            own[0],
            tuple(map(self._node, nodes)),
            initializers,
            tuple(map(self._declared, graph.get("input", ()))),
            tuple(map(self._declared, graph.get("output", ()))),
        )

    def _node(self, data: memoryview) -> Node:
        node = read(data, schema.NODE, self._budget)
        operator, domain = node.get("op_type", ""), node.get("domain", "")
        if domain not in _OWN_DOMAINS:
            raise NetworkError(f"has the operator {shown(f'{domain}.{operator}')} of another maker")
        if operator not in self._operators:
            raise NetworkError(f"has the operator {shown(operator)}, which is not taken here")
        attributes: dict[str, Attribute] = {}
        try:
            for name, value in map(self._attribute, node.get("attribute", ())):
                if name in attributes:
                    raise NetworkError(f"says {shown(name)} twice")
                attributes[name] = value
        except (DamagedError, NetworkError) as error:
            raise NetworkError(f"has a node {operator} that {error}") from error
        return Node(operator, tuple(node.get("input", ())), tuple(node.get("output", ())), attributes)

    def _attribute(self, data: memoryview) -> tuple[str, Attribute]:
        attribute = read(data, schema.ATTRIBUTE, self._budget)
        name = attribute.pop("name", "")
        attribute.pop("doc_string", None)
        place, default = _ATTRIBUTE_FIELDS.get(attribute.pop("type", 0), ("", None))
        value = attribute.pop(place, default)
        if attribute or value is None:
            raise NetworkError(f"has {shown(name)} of a type that it is not")
        if place == "t":
            return name, self._tensor(value)[1]
        return name, tuple(value) if isinstance(value, list) else value

    def _tensor(self, data: memoryview) -> tuple[str, Tensor]:
        tensor = read(data, schema.TENSOR, self._budget)
        if tensor.get("data_location", 0):
            raise NetworkError("holds data in another file, which no network here needs")
        name, dims = tensor.get("name", ""), tuple(tensor.get("dims", ()))
        dtype = DTYPES.get(tensor.get("data_type", 0))
        if dtype is None:
            raise NetworkError(f"has {shown(name)} of type {tensor.get('data_type', 0)}, not read here")
        if len(dims) > MOST_DIMENSIONS or any(not 0 <= length <= _LARGEST for length in dims):
            raise NetworkError(f"has {shown(name)} of a shape that makes no sense")
        typed = _TYPED_DATA.get(dtype, "int32_data")
        places = [place for place in ("raw_data", *_TYPED_PLACES) if place in tensor]
        place = places[0] if places else "raw_data"
        if len(places) > 1 or place not in ("raw_data", typed):
            raise NetworkError(f"has {shown(name)} with numbers of another type")
        numbers = tensor.get(place, memoryview(b""))
        is_varints = place in ("int32_data", "int64_data")
        held = _count_of_varints(numbers) if is_varints else len(numbers) / dtype.itemsize
        if held != math.prod(dims):
            raise NetworkError(f"has {shown(name)} of shape {_sides(dims)} with {held:g} numbers")
        return name, Tensor(dims, dtype, numbers, is_varints)

    def _declared(self, data: memoryview) -> Declared:
        info = read(data, schema.VALUE_INFO, self._budget)
        name = info.get("name", "")
        kind = read(info.get("type", memoryview(b"")), schema.TYPE, self._budget)
        tensor = read(kind.get("tensor_type", memoryview(b"")), schema.TENSOR_TYPE, self._budget)
        dtype = DTYPES.get(tensor.get("elem_type", 0))
        if dtype is None or "shape" not in tensor:
            raise NetworkError(f"does not say what its input or output {shown(name)} is")
        dims = read(tensor["shape"], schema.SHAPE, self._budget).get("dim", [])
        sides = [read(side, schema.DIMENSION, self._budget).get("dim_value") for side in dims]
        return Declared(name, dtype, tuple(sides))


_TYPED_PLACES = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def _count_of_varints(data: memoryview) -> int:
    """Return how many packed integers these are: each ends with a byte below 128."""
    ends = np.frombuffer(data, np.uint8) < 0x80
    if len(ends) and not ends[-1]:
        raise DamagedError("ends within a number")
    return int(np.count_nonzero(ends))


def _bounded(value: int, name: str) -> int:
    if abs(value) > _LARGEST:
        raise NetworkError(f"has {value} in {name}, which makes no sense")
    return value


def _sides(dims: Sequence[int]) -> str:
    return " x ".join(map(str, dims)) or "a number"
