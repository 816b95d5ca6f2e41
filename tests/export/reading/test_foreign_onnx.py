"""ONNX files of others: each operator does in torch what ONNX Runtime does; the rest is one sentence."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from colvi_edge.errors import ModelError, UsageError
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.networks.patch_cnn import NETWORKS, Probabilities, build_network
from colvi_edge.export.reading.foreign.onnx import forms
from colvi_edge.export.reading.foreign.onnx.network import _PLANNED
from colvi_edge.export.reading.foreign.onnx.reading import read_onnx
from colvi_edge.export.reading.foreign.onnx.steps import STEPS
from colvi_edge.export.reading.foreign.onnx.use import Use
from colvi_edge.export.reading.kinds import kind_of
from colvi_edge.export.reading.model_file import read_model
from colvi_edge.onnx import check_network
from colvi_edge.onnx.arrays import Array
from colvi_edge.onnx.network import apply
from colvi_edge.onnx.reading import NetworkError, read_graph
from tests.onnx.test_operators import BUILDERS, Draw, model_of, run
from tests.onnx.test_refused import HOSTILE
from tests.tools.networks import ARCHITECTURES
from tests.tools.onnx_models import written

TOLD: dict[str, Any] = {"classes": ("control", "patient"), "activation": "softmax"}
ORDER: dict[str, Any] = {"classes": ("control", "patient")}

Patches = NDArray[np.float32]

node = helper.make_node


class Signed(Draw):
    """Draws numbers of either sign, none of them whole."""

    low = -3.0

    def array(self, *shape: int, dtype: str = "float32") -> str:
        """An input of this shape."""
        if dtype != "float32":
            return super().array(*shape, dtype=dtype)
        return self.give(np.random.default_rng(self.number(0, 2**31)).uniform(self.low, 3, shape))


class Positive(Signed):
    """Draws numbers above 0, for what has no value below it."""

    low = 0.1


ABOVE_0 = ("Log", "Sqrt", "Pow", "Reciprocal", "Div", "BatchNormalization")
"""Div of whole numbers is drawn as it is; of others by what is not near 0."""


@pytest.mark.parametrize("operator", ["Relu", *STEPS])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_step_does_what_a_runtime_does(operator: str, seed: int) -> None:
    """Number by number, or it is refused; every operator that is taken has a step and is drawn here."""
    draw = (Positive if operator in ABOVE_0 else Signed)(seed)
    model = model_of(BUILDERS[operator](draw), draw.inputs)
    expected = run(model)
    del model.graph.output[:]  # says nothing of their shapes
    graph = read_graph(model.SerializeToString(), forms.OPERATORS)
    (one,) = graph.nodes
    arrays = [Array.of(graph.initializers[name]) if name else None for name in one.inputs]
    made = apply(one, arrays)
    tensors = [
        torch.from_numpy(np.array(graph.initializers[name].array())) if name else None
        for name in one.inputs[: _PLANNED.get(operator)]
    ]
    try:
        step = nn.ReLU() if operator == "Relu" else STEPS[operator](Use(one, arrays, made, made))
    except NetworkError:
        assert operator in ("AveragePool", "Cast", "ConstantOfShape", "Pad", "Resize")
        return
    result: Any = step(*tensors) if operator == "Relu" else step(1, *tensors)

    for found, wanted in zip(result if isinstance(result, tuple) else (result,), expected, strict=True):
        close = 1e-3 if wanted.dtype == np.float16 else 2e-5  # which is float32 here
        np.testing.assert_allclose(found.numpy(), wanted, rtol=close, atol=close)


def test_every_operator_has_a_step() -> None:
    """In its known form; what is rewritten has none, and what is a number by then."""
    known = forms.OPERATORS - forms._MORE - {"Relu", "Constant", "Shape"}

    assert known == STEPS.keys()


# Whole networks


def spread(name: str, seed: int = 0, channels: int = 2) -> nn.Module:
    """Return an untrained network whose outputs do not hover at one half."""
    torch.manual_seed(seed)
    network = build_network(name, channels) if name in NETWORKS else ARCHITECTURES[name]()
    return network.eval()


def save(network: nn.Module, path: Path, opset: int = 17, *, fixed: bool = False, channels: int = 2) -> Path:
    """Save as torch.onnx.export does, of any opset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.randn(1 if fixed else 2, channels, 64, 64),),
            path,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes=None if fixed else {"input": {0: "batch"}, "output": {0: "batch"}},
            opset_version=opset,
            dynamo=False,
        )
    return path


def noise(count: int, channels: int = 2, seed: int = 7) -> Patches:
    """Return normalised patches."""
    return np.random.default_rng(seed).standard_normal((count, channels, 64, 64)).astype(np.float32)


def by_runtime(model: bytes | ModelProto, patches: NDArray[Any]) -> Patches:
    """Return what ONNX Runtime makes of patches, with the file as it is."""
    data = model if isinstance(model, bytes) else written(model)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (given_,) = session.get_inputs()
    return session.run(None, {given_.name: patches})[0]


def outputs(path: Path, patches: Patches) -> Patches:
    """Return what the network that is read makes of patches."""
    with torch.inference_mode():
        return read_onnx(path).network(torch.from_numpy(patches)).numpy()


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 18, 20])
def test_every_opset_of_our_networks_is_read(opset: int, tmp_path: Path) -> None:
    """From the oldest that is met to the newest that this exporter writes; known by its content."""
    network = spread("paper")
    path = save(network, tmp_path / "model.pt", opset)
    patches = noise(3)

    assert kind_of(path) == "ONNX"
    np.testing.assert_allclose(outputs(path, patches), by_runtime(path.read_bytes(), patches), atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(
            outputs(path, patches), network(torch.from_numpy(patches)).numpy(), atol=1e-5
        )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_architectures_are_read_and_go_to_onnx_again(name: str, tmp_path: Path) -> None:
    """ResNets, DenseNets, U-Nets of every norm: same numbers, N free, of the operators that bundles take."""
    path = save(spread(name), tmp_path / "model.onnx", 11 if "group" in name else 17)
    patches = noise(3)
    expected = by_runtime(path.read_bytes(), patches)
    checkpoint = read_model(path, **TOLD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = to_onnx(checkpoint.probabilities(), 2, 64)

    check_network(again, 2, 64)
    logits = torch.from_numpy(expected)
    for count in (1, 3):
        np.testing.assert_allclose(
            by_runtime(again, patches[:count]), torch.softmax(logits, 1)[:count].numpy(), atol=1e-4
        )


def test_a_fixed_batch_that_binds_nothing_is_read(tmp_path: Path) -> None:
    """Exported without dynamic axes a network says that it takes one patch, and may take any number."""
    path = save(spread("paper"), tmp_path / "model.onnx", fixed=True)
    checkpoint = read_model(path, **TOLD)

    assert onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert checkpoint.network(torch.from_numpy(noise(3))).shape == (3, 2)


class Written(nn.Module):
    """Flattens to a number of rows that is written down, as torch.export does of a batch of its example."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.batch, self.maps, self.last = batch, nn.Conv2d(2, 8, 3, stride=4), nn.Linear(8 * 16 * 16, 2)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.last(self.maps(patches).relu().reshape(self.batch, 8 * 16 * 16))


@pytest.mark.parametrize("allowzero", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_that_is_written_down_is_read_as_any(batch: int, allowzero: bool, tmp_path: Path) -> None:
    """A Reshape to (3, 2048), also as the newer exporter writes it, judges each of any number of patches."""
    network, path = Written(batch).eval(), tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.randn(batch, 2, 64, 64),), path, opset_version=17, dynamo=False)
    model = onnx.load(path)
    (reshape,) = (node for node in model.graph.node if node.op_type == "Reshape")
    if allowzero:
        del reshape.attribute[:]
        reshape.attribute.append(helper.make_attribute("allowzero", 1))
        onnx.save(model, path)
    patches = noise(6)
    expected = [by_runtime(path.read_bytes(), patches[k : k + batch]) for k in range(0, 6, batch)]
    found = read_model(path, **TOLD).network

    with torch.inference_mode():
        for count in (6, 5, 1):
            some = found(torch.from_numpy(patches[:count])).numpy()
            np.testing.assert_allclose(some, np.concatenate(expected)[:count], atol=1e-5)


def test_no_zero_may_stand_in_a_reshape_that_allows_it(tmp_path: Path) -> None:
    """There 0 is no word for a length that stays, but a length."""
    path = save(spread("paper"), tmp_path / "model.onnx")
    model = onnx.load(path)
    flatten = next(node for node in model.graph.node if node.op_type == "Flatten")
    shape = numpy_helper.from_array(np.array([0, -1]), "flat")
    model.graph.initializer.append(shape)
    changed = helper.make_node("Reshape", [flatten.input[0], "flat"], flatten.output)
    flatten.CopyFrom(changed)
    onnx.save(model, path)
    assert read_onnx(path).network.channels == 2

    flatten.attribute.append(helper.make_attribute("allowzero", 1))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="has a node Reshape that does not fit what it is given"):
        read_onnx(path)


class Mixed(nn.Module):
    """Mixes the patches of its batch, whose number it knows."""

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return logits of three patches."""
        return patches.reshape(2, 3, -1).mean(2).reshape(3, 2)


def test_a_batch_that_cannot_be_any_is_refused_by_its_name(tmp_path: Path) -> None:
    """Found, and how to export it for any number."""
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Mixed(), (torch.randn(3, 2, 64, 64),), path, opset_version=17, dynamo=False)
    with pytest.raises(
        ModelError, match=r"is made for 3 at a time \(its batch is fixed; .*dynamic_shapes=.*dyn"
    ):
        read_model(path, **TOLD)


def keras(opset: int, last: str, patch: Sequence[int | str] = ("unk__1", 64, 64, 2)) -> ModelProto:
    """Return a network as tf2onnx writes one of Keras: channels last, a flattening made of shapes.

    Args:
        opset: of the file.
        last: "Softmax" or "Sigmoid".
        patch: what the input says of itself.
    """
    random = np.random.default_rng(0)

    def numbers(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array(random.normal(0, 0.3, shape).astype(np.float32), name)

    whole = [
        ("start", [0]),
        ("end", [1]),
        ("places", [0, 1, 2, 3]),
        ("rest", [4 * 16 * 16]),
    ]
    slice_ = (
        node("Slice", ["int"], ["first"], axes=[0], starts=[0], ends=[1])
        if opset < 10
        else node("Slice", ["int", "start", "end"], ["first"])
    )
    nodes = [
        node("Transpose", ["args_0:0"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "w1", "b1"], ["c1"], strides=[2, 2], pads=[0, 0, 1, 1], kernel_shape=[3, 3]),
        node("Relu", ["c1"], ["r1"]),
        node("MaxPool", ["r1"], ["p1"], strides=[2, 2], kernel_shape=[3, 3], pads=[0, 0, 1, 1]),
        node("Mul", ["p1", "scale"], ["n1"]),
        node("Dropout", ["n1"], ["d1"]),
        node("Transpose", ["d1"], ["nhwc"], perm=[0, 2, 3, 1]),
        node("Shape", ["p1"], ["shape"]),
        node("Gather", ["shape", "places"], ["gathered"]),
        node("Cast", ["gathered"], ["int"], to=6),
        slice_,
        node("Cast", ["first"], ["batch"], to=7),
        node("Concat", ["batch", "rest"], ["flat_shape"], axis=0),
        node("Reshape", ["nhwc", "flat_shape"], ["flat"]),
        node("MatMul", ["flat", "w2"], ["m"]),
        node("Add", ["m", "b2"], ["dense/BiasAdd"]),
        node(last, ["dense/BiasAdd"], [f"dense/{last}:0"]),
    ]
    ints = [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in whole]
    start_end = [one for one in ints if opset >= 10 or one.name not in ("start", "end")]
    floats = [numbers("w1", 4, 2, 3, 3), numbers("b1", 4), numbers("scale", 1, 4, 1, 1)]
    graph = helper.make_graph(
        nodes,
        "tf2onnx",
        [helper.make_tensor_value_info("args_0:0", TensorProto.FLOAT, patch)],
        [helper.make_tensor_value_info(f"dense/{last}:0", TensorProto.FLOAT, ["unk__2", 2])],
        initializer=[*floats, numbers("w2", 1024, 2), numbers("b2", 2), *start_end],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 2)]
    model: ModelProto = helper.make_model(graph, opset_imports=domains)
    model.ir_version = 4 if opset < 10 else 8
    return model


@pytest.mark.parametrize("opset", [9, 13, 18])
@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_keras_comes_with_its_channels_last(opset: int, last: str, tmp_path: Path) -> None:
    """Patches go in as everywhere, and what comes out are the file's own probabilities, asked of nobody."""
    model = keras(opset, last)
    (tmp_path / "model.onnx").write_bytes(written(model))
    patches = noise(3)
    expected = by_runtime(model, np.ascontiguousarray(patches.transpose(0, 2, 3, 1)))
    checkpoint = read_model(tmp_path / "model.onnx", **ORDER)

    assert (checkpoint.activation, checkpoint.channels) == ("none", ("collagen", "nuclei"))
    assert np.ptp(expected) > 0.1
    for half in (False, True):
        again = to_onnx(checkpoint.probabilities(), 2, 64, half=half)
        check_network(again, 2, 64, "float16" if half else "float32")
        found = by_runtime(again, patches.astype("float16" if half else "float32"))
        np.testing.assert_allclose(found, expected, atol=0.01 if half else 1e-5)
    assert "TorchScript" not in checkpoint.told
    assert checkpoint.told.startswith(
        f"Read from an ONNX file (opset {opset}): torch, the reference here, gives"
    )


@pytest.mark.parametrize("patch", [("N", "h", "w", 2), ("N", "h", "w", "c"), (1, 64, 64, 2)])
def test_what_an_input_does_not_say_is_found_out(patch: Sequence[int | str], tmp_path: Path) -> None:
    """Free sides are tried, and only one layout fits the weights."""
    (tmp_path / "model.onnx").write_bytes(written(keras(13, "Softmax", patch)))

    network = read_onnx(tmp_path / "model.onnx").network
    assert (network.channels, network.channels_last) == (2, True)


def test_a_network_whose_channels_nothing_tells_asks(tmp_path: Path) -> None:
    """Here a mean over all: any number would do."""
    mean = node("GlobalAveragePool", ["x"], ["m"])
    nodes = [mean, node("ReduceMean", ["m"], ["r"], axes=[1]), node("Concat", ["r", "r"], ["c"], axis=1)]
    model = small([*nodes, node("Flatten", ["c"], ["o"])], ["N", "c", 64, 64])
    (tmp_path / "model.onnx").write_bytes(written(model))
    with pytest.raises(UsageError, match=r"takes 1 or 2 or 3 or .* channels; name them by --channels"):
        read_onnx(tmp_path / "model.onnx")
    assert read_onnx(tmp_path / "model.onnx", ["collagen", "nuclei"]).network.channels == 2


def small(
    nodes: Sequence[NodeProto],
    patch: Sequence[int | str] = ("N", 2, 64, 64),
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    initializers: Sequence[TensorProto] = (),
) -> ModelProto:
    """Return a graph from x to o."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", kind, patch)],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, ["N", 2])],
        initializer=list(initializers),
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def number(name: str, values: object, dtype: str = "float32") -> TensorProto:
    """Return numbers that lie in the file."""
    return numpy_helper.from_array(np.asarray(values, dtype), name)


MEAN = [node("GlobalAveragePool", ["y"], ["p"]), node("Flatten", ["p"], ["o"])]
"""From y, two maps, to o."""

FORMS: dict[str, ModelProto] = {
    "upsample 9": small(
        [node("Upsample", ["x", "s"], ["y"]), *MEAN],
        opset=9,
        initializers=[number("s", [1, 1, 2, 2])],
    ),
    "resize 10": small(
        [node("Resize", ["x", "s"], ["y"]), *MEAN], opset=10, initializers=[number("s", [1, 1, 1.5, 1.5])]
    ),
    "clip 9": small([node("Clip", ["x"], ["y"], min=-0.5, max=0.25), *MEAN], opset=9),
    "clip 9, above only": small([node("Clip", ["x"], ["y"], max=0.25), *MEAN], opset=9),
    "pad 9": small([node("Pad", ["x"], ["y"], pads=[0, 0, 1, 2, 0, 0, 3, 4], value=1.5), *MEAN], opset=9),
    "slice 9": small(
        [node("Slice", ["x"], ["y"], axes=[2, 3], starts=[1, -20], ends=[30, 2**31 - 1]), *MEAN], opset=9
    ),
    "slice 9, first axes": small(
        [
            node("Transpose", ["x"], ["t"], perm=[0, 2, 1, 3]),
            node("Slice", ["t"], ["u"], starts=[0, 3], ends=[2**31 - 1, 9]),
            node("Transpose", ["u"], ["y"], perm=[0, 2, 1, 3]),
            *MEAN,
        ],
        opset=9,
    ),
    "squeeze 11": small(
        [
            node("Unsqueeze", ["x"], ["u"], axes=[1]),
            node("Squeeze", ["u"], ["y"], axes=[1]),
            *MEAN,
        ],
        opset=11,
    ),
    "split 11": small(
        [node("Split", ["x"], ["a", "b"], axis=2, split=[10, 54]), node("Relu", ["b"], ["y"]), *MEAN],
        opset=11,
    ),
    "softmax of all, 11": small([node("Softmax", ["x"], ["y"]), *MEAN], opset=11),
    "log softmax of two axes, 11": small([node("LogSoftmax", ["x"], ["y"], axis=2), *MEAN], opset=11),
    "dropout 9": small([node("Dropout", ["x"], ["y"], ratio=0.5), *MEAN], opset=9),
    "dropout 13": small(
        [node("Dropout", ["x", "r"], ["y"]), *MEAN], opset=13, initializers=[number("r", 0.5)]
    ),
    "sum": small([node("Sum", ["x", "x", "x"], ["y"]), *MEAN]),
    "sum of one": small([node("Sum", ["x"], ["y"]), *MEAN]),
    "tile": small(
        [node("Tile", ["x", "t"], ["y"]), *MEAN], initializers=[number("t", [1, 1, 2, 3], "int64")]
    ),
    "gelu": small([node("Gelu", ["x"], ["y"]), *MEAN], opset=20),
    "gelu by tanh": small([node("Gelu", ["x"], ["y"], approximate="tanh"), *MEAN], opset=20),
    "mish": small([node("Mish", ["x"], ["y"]), *MEAN], opset=18),
    "swish": small([node("Swish", ["x"], ["y"], alpha=1.5), *MEAN], opset=24),
    "group norm 21": small(
        [node("GroupNormalization", ["x", "g", "b"], ["z"], num_groups=1), node("Relu", ["z"], ["y"]), *MEAN],
        opset=21,
        initializers=[number("g", [1.5, 0.5]), number("b", [0.5, -0.25])],
    ),
    "reduce 18": small(
        [node("ReduceMax", ["x", "a"], ["y"]), *MEAN], opset=18, initializers=[number("a", [3], "int64")]
    ),
    "split 18": small(
        [node("Split", ["x"], ["a", "b"], axis=3, num_outputs=2), node("Relu", ["b"], ["y"]), *MEAN], opset=18
    ),
    "a token for each patch": small(
        [
            node("Shape", ["x"], ["s"], start=0, end=1),
            node("Concat", ["s", "rest"], ["shape"], axis=0),
            node("Expand", ["token", "shape"], ["t"]),
            node("Concat", ["x", "t"], ["y"], axis=2),
            *MEAN,
        ],
        initializers=[number("rest", [2, 1, 64], "int64"), number("token", np.full((1, 2, 1, 1), 3.0))],
    ),
    "an old file names its weights among its inputs": small([node("Mul", ["x", "w"], ["y"]), *MEAN], opset=9),
}
_OLD = FORMS["an old file names its weights among its inputs"]
_OLD.graph.initializer.append(number("w", np.array([2.0, -3.0]).reshape(1, 2, 1, 1)))
_OLD.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 2, 1, 1]))
_OLD.ir_version = 3


@pytest.mark.parametrize("name", FORMS)
def test_older_and_newer_forms_do_what_they_did(name: str, tmp_path: Path) -> None:
    """By ONNX Runtime, which reads them as they stand."""
    (tmp_path / "model.onnx").write_bytes(written(FORMS[name]))
    patches = noise(3)
    expected = by_runtime(FORMS[name], patches)

    assert np.ptp(expected) > 0
    np.testing.assert_allclose(outputs(tmp_path / "model.onnx", patches), expected, rtol=1e-5, atol=1e-6)


# What is refused


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_in_a_bundle_is_hostile_here(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, and neither ONNX Runtime nor torch was given the file."""
    (tmp_path / "model.onnx").write_bytes(written(HOSTILE[name][0]))
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("was opened"))

    with pytest.raises((ModelError, UsageError)) as refusal:
        read_onnx(tmp_path / "model.onnx")

    assert str(refusal.value).isprintable()
    assert str(refusal.value).startswith(str(tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            HOSTILE["weights elsewhere"][0],
            r"keeps its weights in another file, as torch writes model\.onnx\.data; save it as one file: .*"
            r"external_data=False\), or onnx\.save\(onnx\.load\('model\.onnx'\), 'one\.onnx'\)",
        ),
        (
            HOSTILE["an endless loop"][0],
            "has the operator 'Loop', which is not taken here; export it with opset 17",
        ),
        (HOSTILE["another maker's operator"][0], "'com.microsoft.Gelu' of another maker"),
        (HOSTILE["a new opset"][0], "is of opset 999, 9 to 28 are read"),
        (
            small([node("Identity", ["x"], ["o"])], ["N", 64, 64]),
            "takes N x 64 x 64, expected patches N x C x",
        ),
        (small(MEAN, ["N", 2, 32, 32]), "takes N x 2 x 32 x 32, expected .* made for 64 x 64 pixels"),
        (
            small([node("Cast", ["x"], ["y"], to=1), *MEAN], kind=TensorProto.UINT8),
            "has as input 'x' uint8, expected",
        ),
        (
            small(
                [node("BatchNormalization", ["x", "w", "w", "w", "w"], ["y"], training_mode=1), *MEAN],
                initializers=[number("w", [1.0, 1.0])],
            ),
            "normalises each batch by itself",
        ),
        (
            small(
                [
                    node("QuantizeLinear", ["x", "s"], ["q"]),
                    node("DequantizeLinear", ["q", "s"], ["y"]),
                    *MEAN,
                ],
                initializers=[number("s", 0.1)],
            ),
            "has the operator 'QuantizeLinear', which is not taken here",
        ),
        (
            small(
                [
                    node("Shape", ["x"], ["s"], end=1),
                    node("Cast", ["s"], ["n"], to=1),
                    node("Div", ["x", "n"], ["y"]),
                    *MEAN,
                ]
            ),
            "a node Div that computes with the number of patches",
        ),
    ],
    ids=lambda value: "" if isinstance(value, ModelProto) else None,
)
def test_what_is_not_run_is_one_sentence(model: ModelProto, sentence: str, tmp_path: Path) -> None:
    """With the way out."""
    (tmp_path / "model.onnx").write_bytes(written(model))
    with pytest.raises(ModelError, match=sentence) as refusal:
        read_onnx(tmp_path / "model.onnx")

    assert str(refusal.value).isprintable()


def test_a_network_that_torch_runs_otherwise_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime has the last word on the very file."""
    path = save(spread("paper"), tmp_path / "model.onnx")
    monkeypatch.setitem(STEPS, "MaxPool", STEPS["AveragePool"])
    with pytest.raises(
        ModelError, match=r"gives other outputs in torch than in ONNX Runtime, by up to [\d.e-]+;"
    ):
        read_onnx(path)


def test_what_the_file_says_is_not_said_otherwise(tmp_path: Path) -> None:
    """A graph that ends in its softmax gives probabilities; one of logits does not tell which."""
    (tmp_path / "keras.onnx").write_bytes(written(keras(13, "Softmax")))
    with pytest.raises(UsageError, match="--outputs says softmax-logits, the file says probabilities"):
        read_model(tmp_path / "keras.onnx", **TOLD)
    save(spread("paper"), tmp_path / "logits.onnx")
    with pytest.raises(UsageError, match="does not say what its outputs are") as asked:
        read_model(tmp_path / "logits.onnx", **ORDER)
    assert asked.value.options == ("--outputs", "softmax-logits")


def test_probabilities_of_a_file_are_those_of_the_bundle(tmp_path: Path) -> None:
    """Also of sigmoids, which need not sum to 1, and in the other order of classes."""
    model = keras(13, "Sigmoid")
    (tmp_path / "model.onnx").write_bytes(written(model))
    patches = noise(2)
    expected = by_runtime(model, np.ascontiguousarray(patches.transpose(0, 2, 3, 1)))
    turned = read_model(tmp_path / "model.onnx", classes=("patient", "control"))

    with torch.inference_mode():
        found = Probabilities(turned.network, turned.activation)(torch.from_numpy(patches)).numpy()
    np.testing.assert_allclose(found, expected[:, ::-1], atol=1e-5)


def test_its_maps_and_gradients_are_those_of_the_network(tmp_path: Path) -> None:
    """So that an ONNX is explained as any network: autograd in torch, of the network it was made from."""
    network = spread("paper")
    path = save(network, tmp_path / "model.onnx")
    read = read_onnx(path).network
    patches = torch.from_numpy(noise(1))

    def gradient(of: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        given_ = patches.clone().requires_grad_()
        return torch.autograd.grad(of(given_)[:, 0].sum(), given_)[0]

    np.testing.assert_allclose(gradient(read).numpy(), gradient(network).numpy(), atol=1e-5)
    assert sum(isinstance(part, nn.ReLU) for part in read.modules()) == 4
