"""The reader sees in a file what the `onnx` package sees, and no damage makes it do anything but refuse."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from colvi_edge.bundle import Bundle
from colvi_edge.onnx import NetworkError, check_network
from colvi_edge.onnx.network import RULES
from colvi_edge.onnx.reading import DTYPES, Attribute, Graph, Tensor, read_graph
from tests.tools.onnx_models import PATCH_PX, network, written

OPERATORS = [*sorted(RULES)[:8], "Conv", "Loop", "If", "Elephant"]
names = st.text("abcd/.é", max_size=4)


@st.composite
def tensors(draw: st.DrawFn) -> TensorProto:
    """Numbers, raw or typed, now and then elsewhere."""
    number = draw(st.sampled_from(sorted(DTYPES)))
    dims = draw(st.lists(st.integers(0, 3), max_size=3))
    values = np.arange(int(np.prod(dims))).reshape(dims).astype(DTYPES[number])
    if draw(st.booleans()):
        tensor: TensorProto = numpy_helper.from_array(values, draw(names))
    else:
        tensor = helper.make_tensor(draw(names), number, dims, values.ravel().tolist())
    if draw(st.integers(0, 15)) == 0:
        tensor.external_data.add(key="location", value="weights.bin")
    if draw(st.integers(0, 15)) == 0:
        tensor.data_location = TensorProto.EXTERNAL
    return tensor


@st.composite
def attributes(draw: st.DrawFn, depth: int) -> AttributeProto:
    """An attribute of any type."""
    value: Any = draw(
        st.one_of(
            st.integers(-(2**63), 2**63 - 1),
            st.floats(width=32, allow_nan=False),
            st.binary(max_size=3).map(lambda text: text.hex()),
            st.lists(st.integers(-9, 9), min_size=1, max_size=3),
            st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=3),
            tensors(),
            *([graphs(depth - 1)] if depth else []),
        )
    )
    return helper.make_attribute(draw(names), value)


@st.composite
def nodes(draw: st.DrawFn, depth: int) -> NodeProto:
    """A node of ours or of another, plain or with something in it."""
    made: NodeProto = helper.make_node(
        draw(st.sampled_from(OPERATORS)),
        draw(st.lists(names, max_size=3)),
        draw(st.lists(names, max_size=2)),
        domain=draw(st.sampled_from(["", "", "", "ai.onnx", "com.microsoft"])),
    )
    made.attribute.extend(draw(st.lists(attributes(depth), max_size=2, unique_by=lambda one: one.name)))
    return made


def graphs(depth: int) -> st.SearchStrategy[GraphProto]:
    """Nodes and numbers."""
    return st.builds(
        lambda parts, numbers: helper.make_graph(parts, "g", [], [], initializer=numbers),
        st.lists(nodes(depth), max_size=3),
        st.lists(tensors(), max_size=2, unique_by=lambda one: one.name),
    )


@st.composite
def models(draw: st.DrawFn) -> ModelProto:
    """A file that `onnx` can write."""
    opsets = [helper.make_opsetid("", draw(st.sampled_from([13, 17, 17, 18]))), helper.make_opsetid("x", 1)]
    model: ModelProto = helper.make_model(draw(graphs(1)), opset_imports=opsets)
    model.ir_version = 8
    if draw(st.integers(0, 9)) == 0:
        model.functions.add(name="f")
    return model


def all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of those within it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from all_nodes(inner)


def all_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Likewise the tensors."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from all_tensors(inner)


def is_plain(model: ModelProto) -> bool:
    """Whether, by the `onnx` package, a file holds nothing that is refused whatever the shapes."""
    seen = list(all_nodes(model.graph))
    return (
        {opset.version for opset in model.opset_import if opset.domain == ""} <= set(range(13, 18))
        and not model.functions
        and all(node.domain in ("", "ai.onnx") and node.op_type in RULES for node in seen)
        and not any(attribute.HasField("g") for node in seen for attribute in node.attribute)
        and not any(tensor.external_data or tensor.data_location for tensor in all_tensors(model.graph))
    )


def same(ours: Attribute, theirs: AttributeProto) -> bool:
    """Whether an attribute says the same to both."""
    value = helper.get_attribute_value(theirs)
    if isinstance(ours, Tensor):
        return same_tensor(ours, value)
    if isinstance(ours, str):
        return bool(ours == value.decode())
    return bool(np.array_equal(np.array(ours), np.array(value), equal_nan=True))


def same_tensor(ours: Tensor, theirs: TensorProto) -> bool:
    """Whether numbers are the same to both, and as many."""
    values, expected = ours.values(), numpy_helper.to_array(theirs)
    if values is None:
        return ours.dims == expected.shape and ours.dtype == expected.dtype
    return values.dtype == expected.dtype and values.tobytes() == expected.tobytes()


def assert_same(ours: Graph, theirs: ModelProto) -> None:
    """Every node, attribute and number is the same to both."""
    assert [(node.operator, node.inputs, node.outputs) for node in ours.nodes] == [
        (node.op_type, tuple(node.input), tuple(node.output)) for node in theirs.graph.node
    ]
    for node, other in zip(ours.nodes, theirs.graph.node, strict=True):
        assert list(node.attributes) == [attribute.name for attribute in other.attribute]
        assert all(same(node.attributes[one.name], one) for one in other.attribute)
    assert list(ours.initializers) == [tensor.name for tensor in theirs.graph.initializer]
    assert all(same_tensor(ours.initializers[one.name], one) for one in theirs.graph.initializer)
    assert [declared.name for declared in ours.inputs] == [declared.name for declared in theirs.graph.input]


@settings(max_examples=200, deadline=None)
@given(model=models())
def test_what_is_read_is_what_onnx_reads(model: ModelProto) -> None:
    """A file is taken if, and only if, `onnx` finds it plain; and then every part is the same."""
    graph, refusal = tried(lambda: read_graph(written(model), RULES))

    assert (graph is not None) == is_plain(model), refusal
    assert refusal.isprintable()
    if graph:
        assert_same(graph, model)


def tried(read: Callable[[], Graph]) -> tuple[Graph | None, str]:
    """A graph, or the words of a refusal; every other exception is a fault."""
    try:
        return read(), ""
    except NetworkError as error:
        return None, str(error)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("source", ["small", "int8-cpu"])
def test_damage_does_nothing_but_to_be_refused(source: str, demo_bundle: Bundle, data: st.DataObject) -> None:
    """Bytes changed, cut out and put in: one error, or a file that `onnx` reads in the same way."""
    whole = bytearray(written(network()) if source == "small" else demo_bundle.network("int8-cpu"))
    last = min(len(whole), 12_000) - 1  # behind which are weights alone
    for _ in range(data.draw(st.integers(1, 3))):
        place, length = data.draw(st.integers(0, last)), data.draw(st.integers(0, 3))
        whole[place : place + length] = data.draw(st.binary(max_size=3))
    damaged = bytes(whole)

    def read() -> Graph:
        check_network(damaged, 2, PATCH_PX if source == "small" else 64)
        return read_graph(damaged, RULES)

    graph, refusal = tried(read)

    assert refusal.isprintable()
    with suppress(DecodeError):  # onnx may be stricter
        if graph:
            assert_same(graph, onnx.load_from_string(damaged))


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    """Nothing but a network is one."""
    with pytest.raises(NetworkError):
        check_network(data, 2, PATCH_PX)
