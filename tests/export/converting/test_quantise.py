"""The two INT8 networks are built as their runtimes want them, node by node."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from colvi_edge.bundle import Bundle
from colvi_edge.export.converting.quantise import STRIDE_PATCHES, Target, quantise
from colvi_edge.patches import Normalisation, network_input
from colvi_edge.simulate import simulate_projection

TARGETS: list[Target] = ["int8-trt", "int8-cpu"]


class Graph:
    """An ONNX graph by the names in it."""

    def __init__(self, data: bytes) -> None:
        self.model = onnx.load_from_string(data)
        self.nodes = list(self.model.graph.node)
        self.maker = {output: node for node in self.nodes for output in node.output}
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer
        }

    def of(self, kind: str) -> list[onnx.NodeProto]:
        """Return the nodes of a kind, in their order."""
        return [node for node in self.nodes if node.op_type == kind]

    def users(self, name: str) -> list[str]:
        """Return the kinds of nodes that take a tensor."""
        return [node.op_type for node in self.nodes if name in node.input]

    def kind_behind(self, name: str) -> str:
        """Return the kind of node that gives a tensor, "" for an input or a constant."""
        return self.maker[name].op_type if name in self.maker else ""


@pytest.fixture(scope="module")
def patches() -> NDArray[np.float32]:
    """Return 32 normalised patches of two simulated cultures."""
    images = [
        simulate_projection(label, 3, size_px=256)[np.newaxis, [1, 0]] for label in ("control", "patient")
    ]
    return np.concatenate([network_input(planes, 64, Normalisation()) for planes in images])


@pytest.fixture(scope="module")
def fp32(demo_bundle: Bundle) -> Graph:
    """Return the network before."""
    return Graph(demo_bundle.network("fp32"))


@pytest.fixture(scope="module")
def int8(demo_bundle: Bundle, patches: NDArray[np.float32]) -> dict[Target, Graph]:
    """Return both networks after."""
    network = demo_bundle.network("fp32")
    return {target: Graph(quantise(network, patches, target, "min-max")) for target in TARGETS}


def test_tensorrt_gets_quantised_convolution_inputs_and_nothing_else(int8: dict[Target, Graph]) -> None:
    """Every convolution reads dequantised input and weights, its own bias; every pair feeds one."""
    graph = int8["int8-trt"]
    convolutions = graph.of("Conv")

    assert len(convolutions) == 3
    for node in convolutions:
        data, weights, bias = node.input
        assert graph.kind_behind(data) == graph.kind_behind(weights) == "DequantizeLinear"
        assert graph.kind_behind(graph.maker[data].input[0]) == "QuantizeLinear"
        assert graph.constants[bias].dtype == np.float32
        assert graph.users(node.output[0]) == ["Relu"]
    assert len(graph.of("QuantizeLinear")) == 3
    assert len(graph.of("DequantizeLinear")) == 6
    for node in graph.of("DequantizeLinear"):
        assert graph.users(node.output[0]) == ["Conv"]


def test_tensorrt_gets_symmetric_int8(int8: dict[Target, Graph]) -> None:
    """Zero points are 0, scales of activations are numbers, those of weights one a filter."""
    graph = int8["int8-trt"]

    for node in graph.of("QuantizeLinear") + graph.of("DequantizeLinear"):
        scale, zero_point = graph.constants[node.input[1]], graph.constants[node.input[2]]
        is_weight = node.input[0] in graph.constants
        filters = graph.constants[node.input[0]].shape[:1] if is_weight else ()
        assert scale.dtype == np.float32
        assert (scale > 0).all()
        assert zero_point.dtype == np.int8
        assert not zero_point.any()
        assert scale.shape == zero_point.shape == filters
        assert [a.i for a in node.attribute if a.name == "axis"] in ([], [0])


def test_cpus_get_asymmetric_uint8_through_relu_and_pooling(int8: dict[Target, Graph]) -> None:
    """The ReLU is gone into the clamp, and pooling reads and writes bytes of one scale."""
    graph = int8["int8-cpu"]

    assert len(graph.of("Conv")) == len(graph.of("MaxPool")) == 3
    for node in graph.of("Conv"):
        assert graph.kind_behind(node.input[0]) == "DequantizeLinear"
        assert graph.users(node.output[0]) == ["QuantizeLinear"]
    for node in graph.of("MaxPool"):
        before, (after,) = graph.maker[node.input[0]], [n for n in graph.nodes if node.output[0] in n.input]
        assert (before.op_type, after.op_type) == ("DequantizeLinear", "QuantizeLinear")
        assert before.input[1:] == after.input[1:]  # the same scale and zero point
    activations = graph.of("QuantizeLinear")
    zero_points = [graph.constants[node.input[2]] for node in activations]
    assert {point.dtype for point in zero_points} == {np.dtype(np.uint8)}
    assert zero_points[0] > 0  # normalised patches reach below 0
    assert not any(zero_points[1:])  # what has passed a ReLU does not
    assert [node.op_type for node in graph.of("Relu")] == ["Relu"]  # of the classifier


@pytest.mark.parametrize("target", TARGETS)
def test_the_classifier_is_left_alone(target: Target, int8: dict[Target, Graph], fp32: Graph) -> None:
    """Both dense layers compute with the very weights that were trained."""
    found, trained = int8[target].of("Gemm"), fp32.of("Gemm")

    assert len(found) == len(trained) == 2
    for node, original in zip(found, trained, strict=True):
        for name, wanted in zip(node.input[1:], original.input[1:], strict=True):
            np.testing.assert_array_equal(int8[target].constants[name], fp32.constants[wanted])
        assert int8[target].users(node.output[0]) in (["Relu"], ["Div"])


@pytest.mark.parametrize("target", TARGETS)
def test_weights_are_rounded_filter_by_filter(target: Target, int8: dict[Target, Graph], fp32: Graph) -> None:
    """By hand in NumPy: the largest weight of a filter is 127 steps, all others round to the nearest."""
    graph = int8[target]

    for node, original in zip(graph.of("Conv"), fp32.of("Conv"), strict=True):
        trained = fp32.constants[original.input[1]].astype(np.float64)
        pair = graph.maker[node.input[1]]
        stored, scale = graph.constants[pair.input[0]], graph.constants[pair.input[1]]
        by_hand = np.abs(trained).max(axis=(1, 2, 3)) / 127
        steps = trained / by_hand.reshape(-1, 1, 1, 1)
        assert stored.dtype == np.int8
        np.testing.assert_allclose(scale, by_hand, rtol=1e-5)
        assert np.abs(stored - steps).max() <= 0.5 + 1e-3
        assert (np.abs(stored).max(axis=(1, 2, 3)) == 127).all()


@pytest.mark.parametrize("target", TARGETS)
def test_min_max_reaches_just_to_the_extremes_of_the_patches(
    target: Target, int8: dict[Target, Graph], patches: NDArray[np.float32]
) -> None:
    """The scale of the input by hand: symmetric to the larger end, asymmetric from end to end."""
    graph = int8[target]
    (node,) = [node for node in graph.of("QuantizeLinear") if node.input[0] == "patches"]
    low, high = float(patches.min()), float(patches.max())
    # ONNX Runtime takes -127..127 for symmetric activations.
    by_hand = max(-low, high) * 2 / 254 if target == "int8-trt" else (high - low) / 255

    assert float(graph.constants[node.input[1]]) == pytest.approx(by_hand, rel=1e-3)


@pytest.mark.parametrize("target", TARGETS)
def test_the_percentile_cuts_off_the_brightest(
    target: Target, int8: dict[Target, Graph], demo_bundle: Bundle, patches: NDArray[np.float32]
) -> None:
    """One pixel of a thousand times the light stretches min-max, not the 99.99th percentile."""
    spoilt = patches.copy()
    spoilt[0, 0, 0, 0] = 1000
    cut = Graph(quantise(demo_bundle.network("fp32"), spoilt, target, "percentile 99.99"))

    def step(graph: Graph) -> float:
        return float(next(graph.constants[n.input[1]] for n in graph.nodes if n.input[0] == "patches"))

    assert step(cut) < 2 * step(int8[target])


@pytest.mark.parametrize("target", TARGETS)
def test_the_outside_stays_as_it_was(target: Target, int8: dict[Target, Graph], fp32: Graph) -> None:
    """Float32 in and out, N free, opset 17: any runtime takes INT8 where it took FP32."""
    model = int8[target].model

    for value, original in zip(
        [*model.graph.input, *model.graph.output],
        [*fp32.model.graph.input, *fp32.model.graph.output],
        strict=True,
    ):
        assert value.name == original.name
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
        assert value.type.tensor_type.shape == original.type.tensor_type.shape
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"
    assert next(entry.version for entry in model.opset_import if not entry.domain) == 17
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for n in (1, 5):
        (found,) = session.run(None, {"patches": np.ones((n, 2, 64, 64), np.float32)})
        assert found.shape == (n, 2)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_equal_input_gives_equal_bytes_and_no_words(
    target: Target,
    int8: dict[Target, Graph],
    demo_bundle: Bundle,
    patches: NDArray[np.float32],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A bundle can be made again; and what is printed is the command's own."""
    again = quantise(demo_bundle.network("fp32"), patches, target, "min-max")

    assert again == int8[target].model.SerializeToString(deterministic=True)
    assert capfd.readouterr().out == ""


def test_no_path_of_this_machine_is_inside(int8: dict[Target, Graph]) -> None:
    """Quantisation goes through files; their names stay here."""
    for graph in int8.values():
        data = graph.model.SerializeToString()
        assert b"/tmp" not in data
        assert not any(node.doc_string for node in graph.nodes)


@pytest.mark.parametrize("count", [0, 1, STRIDE_PATCHES - 1, STRIDE_PATCHES + 16])
def test_an_incomplete_stride_is_refused(demo_bundle: Bundle, count: int) -> None:
    """ONNX Runtime would fail deep inside, or leave patches out without a word."""
    patches = np.zeros((count, 2, 64, 64), np.float32)

    with pytest.raises(ValueError, match=f"expected a multiple of 32 calibration patches, got {count}"):
        quantise(demo_bundle.network("fp32"), patches, "int8-cpu", "min-max")
