"""Networks that would read elsewhere, never end, or ask for terabytes: each refused by its own sentence."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from colvi_edge.onnx import NetworkError, check_network
from tests.tools.onnx_models import IN, PATCH_PX, constant, identity_graph, network, tensor, written

node = helper.make_node


def check(data: bytes) -> None:
    """Check a network for patches of 2 x 8 x 8."""
    check_network(data, 2, PATCH_PX)


def elsewhere(weights: TensorProto, path: str = "/etc/passwd") -> TensorProto:
    """The same tensor with its numbers in another file."""
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=path)
    return weights


def weights(name: str = "w", shape: tuple[int, ...] = (2, 2, 1, 1)) -> TensorProto:
    """Weights of a convolution."""
    return tensor(name, np.ones(shape), "float32")


CONVOLUTION = node("Conv", [IN, "w"], ["end"])


def with_(model: ModelProto, change: Callable[[ModelProto], object]) -> ModelProto:
    """A model after a change."""
    change(model)
    return model


def only_located(model: ModelProto) -> None:
    """Say that the numbers are elsewhere, and no more."""
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def only_listed(model: ModelProto) -> None:
    """Name the other file, and do not say that the numbers are there."""
    model.graph.initializer[0].external_data.add(key="location", value="../x")


def in_a_type(model: ModelProto) -> None:
    """Hide a graph in a node that needs none."""
    model.graph.node[0].attribute.append(helper.make_attribute("body", identity_graph()))


def in_a_list(model: ModelProto) -> None:
    """The same, in a list of graphs."""
    model.graph.node[0].attribute.append(helper.make_attribute("bodies", [identity_graph()]))


def sparse(model: ModelProto) -> None:
    """Add a sparse tensor whose numbers are elsewhere."""
    values = elsewhere(tensor("s", [1.0], "float32"))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, tensor("i", [0]), [4]))


def sparse_attribute(model: ModelProto) -> None:
    """The same in a constant."""
    values = helper.make_sparse_tensor(elsewhere(tensor("s", [1.0], "float32")), tensor("i", [0]), [4])
    model.graph.node.insert(0, node("Constant", [], ["c"], sparse_value=values))


def function(model: ModelProto) -> None:
    """Add a function."""
    call = node("Identity", ["a"], ["b"])
    made = helper.make_function("own", "F", ["a"], ["b"], [call], [helper.make_opsetid("", 17)])
    model.functions.append(made)


def training(model: ModelProto) -> None:
    """Add a graph of training."""
    model.training_info.add().algorithm.CopyFrom(identity_graph())


def again(model: ModelProto) -> None:
    """Declare another input."""
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def domains(*names: str) -> Callable[[ModelProto], None]:
    """Import other operators."""

    def change(model: ModelProto) -> None:
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(name, 17) for name in names)

    return change


def version(number: int) -> Callable[[ModelProto], None]:
    """Take another opset."""
    return lambda model: setattr(model.opset_import[0], "version", number)


def chain(make: Callable[[str, str], NodeProto], times: int) -> list[NodeProto]:
    """The same node many times, each on what the one before gave; ends in `end`."""
    names = [IN, *(f"t{k}" for k in range(times - 1)), "end"]
    return [make(one, other) for one, other in pairwise(names)]


def pixels_of(*lengths: int) -> list[NodeProto]:
    """Patches in another shape, called p."""
    return [constant("to", lengths), node("Reshape", [IN, "to"], ["p"])]


def column_and_row() -> list[NodeProto]:
    """All pixels of a batch, twice, in a column c and in a row r."""
    return [*pixels_of(-1, 1), node("Concat", ["p", "p"], ["c"], axis=0), node("Transpose", ["c"], ["r"])]


def spoilt_dims(length: int) -> ModelProto:
    """A convolution whose weights say that they have another dimension."""
    return with_(
        network([CONVOLUTION], [weights()], "end"),
        lambda model: model.graph.initializer[0].dims.append(length),
    )


HOSTILE: dict[str, tuple[ModelProto, str]] = {
    "weights elsewhere": (
        network([CONVOLUTION], [elsewhere(weights())], "end"),
        "holds data in another file",
    ),
    "weights of this folder elsewhere": (
        network([CONVOLUTION], [elsewhere(weights(), "fp16.onnx")], "end"),
        "holds data in another file",
    ),
    "only said to be elsewhere": (
        with_(network([CONVOLUTION], [weights()], "end"), only_located),
        "holds data in another file",
    ),
    "only named elsewhere": (
        with_(network([CONVOLUTION], [weights()], "end"), only_listed),
        "holds data in another file",
    ),
    "a constant elsewhere": (
        network([node("Constant", [], ["w"], value=elsewhere(weights(""))), CONVOLUTION], [], "end"),
        "has a node Constant that holds data in another file",
    ),
    "a filling elsewhere": (
        network(
            [constant("s", [1]), node("ConstantOfShape", ["s"], ["c"], value=elsewhere(tensor("", [1.0])))]
        ),
        "has a node ConstantOfShape that holds data in another file",
    ),
    "sparse numbers elsewhere": (with_(network(), sparse), "holds a sparse tensor"),
    "a sparse constant": (with_(network(), sparse_attribute), "node Constant that holds a sparse tensor"),
    "an endless loop": (
        network([node("Loop", ["", "", IN], ["end"], body=identity_graph())], [], "end"),
        "has the operator 'Loop', which is not taken",
    ),
    "a branch": (
        network([node("If", [IN], ["end"], then_branch=identity_graph(), else_branch=identity_graph("e"))]),
        "has the operator 'If', which is not taken",
    ),
    "a scan": (
        network([node("Scan", [IN], ["end"], body=identity_graph(), num_scan_inputs=1)]),
        "has the operator 'Scan', which is not taken",
    ),
    "a sequence": (
        network([node("SequenceMap", [IN], ["end"], body=identity_graph())]),
        "has the operator 'SequenceMap', which is not taken",
    ),
    "a graph where none belongs": (
        with_(network(), in_a_type),
        "has a node GlobalAveragePool that holds a graph within a node",
    ),
    "graphs where none belong": (
        with_(network(), in_a_list),
        "has a node GlobalAveragePool that holds a graph within a node",
    ),
    "a function": (with_(network(), function), "holds a function"),
    "training": (with_(network(), training), "holds training"),
    "another maker's operator": (
        network([node("Gelu", [IN], ["end"], domain="com.microsoft")], [], "end"),
        "has the operator 'com.microsoft.Gelu' of another maker",
    ),
    "an operator that escapes": (
        network([node("\x1b]0;X\a\nforged", [IN], ["end"])], [], "end"),
        r"has the operator '\x1b]0;X\x07\nforged', which is not taken",
    ),
    "an unknown operator": (
        network([node("Elephant", [IN], ["end"])], [], "end"),
        "'Elephant', which is",
    ),
    "random numbers": (network([node("RandomNormal", [], ["c"], shape=[2**40])]), "'RandomNormal', which is"),
    "an operator of texts": (network([node("StringNormalizer", [IN], ["c"])]), "'StringNormalizer', which"),
    "texts": (
        network([], [TensorProto(name="s", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])]),
        "holds texts, which no network",
    ),
    "an old opset": (with_(network(), version(9)), "is of opset 9, 13 to 17 are read"),
    "a new opset": (with_(network(), version(999)), "is of opset 999, 13 to 17 are read"),
    "no opset": (with_(network(), domains("com.microsoft")), "is of opset none, 13 to 17 are read"),
    "two opsets": (with_(network(), domains("", "ai.onnx")), "is of opset 17, 17, 13 to 17 are read"),
    "two inputs": (with_(network(), again), "has 2 inputs, expected one"),
    "three channels": (
        network(patch=("N", 3, 8, 8)),
        "has the input N x 3 x 8 x 8 float32, expected N x 2",
    ),
    "one patch": (network(patch=(1, 2, 8, 8)), "has the input 1 x 2 x 8 x 8 float32, expected N x 2"),
    "another number of classes": (
        network([node("Concat", [IN, IN], ["end"], axis=1)], [], "end"),
        "gives 1 x 4 float32 for 1 patches, expected 1 x 2 float32",
    ),
    "a batch that is folded away": (
        network([*pixels_of(1, 2, -1, 8), node("Identity", ["p"], ["end"])], [], "end"),
        "gives 1 x 2 float32 for 256 patches, expected 256 x 2 float32",
    ),
    "weights that are not there": (
        network([CONVOLUTION], [], "end"),
        "uses 'w' before it is there",
    ),
    "weights that say more than they hold": (
        spoilt_dims(2**30),
        "has 'w' of shape 2 x 2 x 1 x 1 x 1073741824 with 4 numbers",
    ),
    "weights of less than nothing": (spoilt_dims(-1), "has 'w' of a shape that makes no sense"),
    "pads without end": (
        network([node("Conv", [IN, "w"], ["end"], pads=[2**40] * 4)], [weights()], "end"),
        "has 1099511627776 in pads, which makes no sense",
    ),
    "wide pads": (
        network([node("Conv", [IN, "w"], ["end"], pads=[2**15] * 4)], [weights()], "end"),
        "has a node Conv whose output is 1 x 2 x 65544 x 65544",
    ),
    "a stride of nothing": (
        network([node("Conv", [IN, "w"], ["end"], strides=[0, 0])], [weights()], "end"),
        "has a node Conv that does not fit what it is given",
    ),
    "no groups": (
        network([node("Conv", [IN, "w"], ["end"], group=0)], [weights()], "end"),
        "has a node Conv that does not fit what it is given",
    ),
    "a million filters": (
        network([node("Conv", [IN, "w"], ["wide"])], [weights("w", (2**20, 2, 1, 1))]),
        "has a node Conv whose output is 1 x 1048576 x 8 x 8",
    ),
    "a kernel without end": (
        network([node("AveragePool", [IN], ["end"], kernel_shape=[2**31] * 2)], [], "end"),
        "has 2147483648 in kernel_shape, which makes no sense",
    ),
    "strides that unfold": (
        network([node("ConvTranspose", [IN, "w"], ["end"], strides=[2**15] * 2)], [weights()], "end"),
        "has a node ConvTranspose whose output is 1 x 2 x 229377 x 229377",
    ),
    "doubling": (
        network(chain(lambda one, other: node("Concat", [one, one], [other], axis=0), 40), [], "end"),
        "has a node Concat whose output is 65536 x 2 x 8 x 8",
    ),
    "an outer product": (
        network([*column_and_row(), node("MatMul", ["c", "r"], ["end"])]),
        "has a node MatMul whose output is 65536 x 65536",
    ),
    "an outer sum": (
        network([*column_and_row(), node("Add", ["c", "r"], ["end"])]),
        "has a node Add whose output is 65536 x 65536",
    ),
    "a constant without end": (
        network([constant("s", [2**20, 2**20]), node("ConstantOfShape", ["s"], ["c"])]),
        "has a node ConstantOfShape whose output is 1048576 x 1048576",
    ),
    "an expansion": (
        network([constant("s", [2**40, 1, 1, 1]), node("Expand", [IN, "s"], ["c"])]),
        "has a node Expand whose output is 1099511627776 x 2 x 8 x 8",
    ),
    "a pad without end": (
        network([constant("s", [0] * 7 + [2**30]), node("Pad", [IN, "s"], ["c"])]),
        "has a node Pad that does not fit what it is given",
    ),
    "a scale": (
        network([constant("s", [1, 1, 6e4, 6e4], "float32"), node("Resize", [IN, "", "s"], ["c"])]),
        "has a node Resize whose output is 1 x 2 x 480000 x 480000",
    ),
    "a scale that is none": (
        network([constant("s", [1, 1, np.nan, np.inf], "float32"), node("Resize", [IN, "", "s"], ["c"])]),
        "has a node Resize that does not fit what it is given",
    ),
    "a size": (
        network([constant("s", [1, 2, 2**31, 2**31]), node("Resize", [IN, "", "", "s"], ["c"])]),
        "has a node Resize whose output is 1 x 2 x 2147483648 x 2147483648",
    ),
    "places without end": (
        network([constant("s", np.zeros(2000)), node("Gather", [IN, "s"], ["c"])]),
        "has a node Gather that is asked for a shape that depends on the pixels",
    ),
    "places that are not there": (
        network([constant("s", [7]), node("Gather", [IN, "s"], ["c"], axis=1)]),
        "has a node Gather that does not fit what it is given",
    ),
    "a shape of pixels": (
        network([node("Cast", [IN], ["s"], to=7), node("ConstantOfShape", ["s"], ["c"])]),
        "has a node ConstantOfShape that is asked for a shape that depends on the pixels",
    ),
    "a division by zero": (
        network([constant("a", [4]), constant("b", [0]), node("Div", ["a", "b"], ["c"])]),
        "has a node Div that does not fit what it is given",
    ),
    "a division by pixels": (
        network([node("Cast", [IN], ["s"], to=7), node("Div", ["s", "s"], ["c"])]),
        "has a node Div that is asked for a shape that depends on the pixels",
    ),
    "more work than in any network": (
        network(
            [
                constant("s", [1, 1, 45, 45], "float32"),
                node("Resize", [IN, "", "s"], ["t"]),
                *(node("Conv", ["t", "w"], [f"c{k}"], pads=[31] * 4) for k in range(10)),
            ],
            [weights("w", (2, 2, 63, 63))],
        ),
        "computes more for a patch than any network here",
    ),
    "many large maps": (
        network(
            [
                constant("s", [1, 1, 45, 45], "float32"),
                node("Resize", [IN, "", "s"], ["t"]),
                *(node("Relu", ["t"], [f"r{k}"]) for k in range(300)),
            ]
        ),
        "computes more for a patch than any network here",
    ),
    "nodes without end": (network([node("Relu", [IN], [f"r{k}"]) for k in range(11_000)]), "has 11003 nodes"),
    "a name twice": (network([node("Relu", [IN], ["a"]), node("Relu", [IN], ["a"])]), "has 'a' twice"),
    "a name without end": (
        network([node("Relu", [IN], ["a" * 2000])]),
        "has output of 2000 bytes, at most 1024",
    ),
    "a circle": (
        network([node("Relu", ["b"], ["a"]), node("Relu", ["a"], ["b"])]),
        "uses 'b' before it is there",
    ),
}


def test_the_plain_network_is_taken() -> None:
    """What the others are variations of; with a convolution, too."""
    check(written(network()))
    check(written(network([CONVOLUTION], [weights()], "end")))


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused_by_its_name(name: str) -> None:
    """By a sentence that says what it is, in one printable line."""
    model, sentence = HOSTILE[name]

    with pytest.raises(NetworkError) as refusal:
        check(written(model))

    assert sentence in str(refusal.value)
    assert str(refusal.value).isprintable()


def length_delimited(number: int, data: bytes) -> bytes:
    """A field of protobuf."""
    size, sized = len(data), bytearray()
    while size >= 0x80:
        sized.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *sized, size]) + data


GOOD = written(network())
HEAD = b"\x08\x08" + length_delimited(8, b"\x10\x11")
GRAPH = bytes(network().graph.SerializeToString())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is no ONNX"),
        (b"\x08\x08garbage" * 100, "has a field 12 that is not known here"),
        (GOOD + length_delimited(7, GRAPH), "has graph twice"),
        (GOOD + length_delimited(15, b"x"), "has a field 15 that is not known here"),
        (GOOD + b"\x0b\x0c", "has bytes that are no ir_version"),
        (GOOD[:-1], "ends within"),
        (GOOD + b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends within graph"),
        (GOOD + b"\x08" + b"\xff" * 20, "has a number without an end"),
        (
            HEAD + length_delimited(7, b"\x0a\x00" * 300_000),
            "holds more parts",
        ),
        (length_delimited(7, GRAPH), "is no ONNX of a version"),
    ],
    ids=[
        "empty",
        "garbage",
        "two graphs",
        "unknown",
        "group",
        "cut",
        "long",
        "endless",
        "parts",
        "no version",
    ],
)
def test_bytes_that_protobuf_would_take_otherwise_are_refused(data: bytes, sentence: str) -> None:
    """Damage, what protobuf merges or passes over, and a million empty parts."""
    with pytest.raises(NetworkError) as refusal:
        check(data)

    assert sentence in str(refusal.value)


def test_the_output_is_named_as_it_is() -> None:
    """What a graph promises and does not make."""
    model = network()
    model.graph.output[0].name = "other"
    with pytest.raises(NetworkError, match="gives nothing for 1 patches, expected 1 x 2 float32"):
        check(written(model))
