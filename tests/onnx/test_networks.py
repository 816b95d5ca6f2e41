"""Every network that is exported here is one that bundles take, and its shapes are those that it then has."""

import math
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.errors import ModelError
from colvi_edge.export.converting.manifest import Description
from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.converting.package import Settings, package
from colvi_edge.export.converting.quantise import Target, quantise
from colvi_edge.export.networks.patch_cnn import NETWORKS, Activation, Probabilities, Turned, build_network
from colvi_edge.export.reading.checkpoint import Checkpoint
from colvi_edge.onnx import check_network
from colvi_edge.onnx.arrays import Array
from colvi_edge.onnx.network import RULES, follow
from colvi_edge.onnx.reading import read_graph
from colvi_edge.patches import Normalisation
from tests.tools.networks import ARCHITECTURES

pytestmark = [  # torch warns of InstanceNorm
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PRECISIONS: list[Precision] = ["fp32", "fp16", "int8-trt", "int8-cpu"]


@cache
def exported(name: str, half: bool = False, activation: Activation = "softmax") -> bytes:
    """A network as the export writes it."""
    torch.manual_seed(0)
    network = build_network(name, 2) if name in NETWORKS else ARCHITECTURES[name]()
    return to_onnx(Probabilities(network, activation, 1.5).eval(), 2, 64, half=half)


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", [*NETWORKS, *ARCHITECTURES])
def test_what_is_exported_is_taken(name: str, half: bool) -> None:
    """Our own networks, ResNet's and DenseNet's blocks, U-Nets of every way up and norm."""
    check_network(exported(name, half), 2, 64, "float16" if half else "float32")


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_every_activation_is_taken(activation: Activation) -> None:
    """The network may give logits, or probabilities of its own."""
    network = nn.Sequential(build_network("paper", 2), nn.Sigmoid()) if activation == "none" else None
    wrapped = Probabilities(Turned(network or build_network("paper", 2)), activation)

    check_network(to_onnx(wrapped.eval(), 2, 64), 2, 64)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_of_the_demo_is_taken(demo_bundle: Bundle, precision: Precision) -> None:
    """The quantised ones too, which ONNX Runtime's tools rewrote."""
    check_network(demo_bundle.network(precision), 2, 64, "float16" if precision == "fp16" else "float32")


@pytest.mark.parametrize("target", get_args(Target))
@pytest.mark.parametrize("name", ["resnet", "unet, size, batch"])
def test_what_is_quantised_is_taken(name: str, target: Target) -> None:
    """Sums, shortcuts and interpolation between quantised layers, too."""
    noise = np.random.default_rng(0).standard_normal((32, 2, 64, 64)).astype(np.float32)

    check_network(quantise(exported(name), noise, target, "min-max"), 2, 64)


def test_what_bundles_do_not_take_is_said_before_it_is_packed() -> None:
    """By the operator's name, as a fault of the model: exit code 2."""

    class Sorted(nn.Module):
        def forward(self, patches: torch.Tensor) -> torch.Tensor:
            return patches.flatten(1).topk(2).values

    channels = ("collagen", "nuclei")
    checkpoint = Checkpoint(Sorted().eval(), "sorted", channels, "softmax", 1.0, Normalisation(), {})
    with pytest.raises(ModelError, match="the network as ONNX has the operator 'TopK', which is not taken"):
        package(checkpoint, Path("never.colvi"), Description("n", "1", "s", "d"), Settings(("fp32",)))


@pytest.mark.parametrize("name", [*NETWORKS, *ARCHITECTURES, "int8-trt", "int8-cpu"])
def test_shapes_are_those_that_a_runtime_finds(name: str, demo_bundle: Bundle) -> None:
    """Every tensor of a batch of 3, with its dtype, and the numbers of shapes: as ONNX Runtime has them."""
    data = demo_bundle.network(name) if name.startswith("int8") else exported(name)  # type: ignore[arg-type]
    graph = read_graph(data, RULES)
    arrays = {key: Array.of(tensor) for key, tensor in graph.initializers.items()}
    arrays[graph.inputs[0].name] = Array((3, 2, 64, 64), np.dtype(np.float32))
    follow(graph, arrays, 3)
    found = run_whole(data, np.random.default_rng(0).standard_normal((3, 2, 64, 64)).astype(np.float32))

    assert {key: (arrays[key].shape, arrays[key].dtype) for key in found} == {
        key: (value.shape, value.dtype) for key, value in found.items()
    }
    assert len(found) == len(graph.nodes)
    known = {key: arrays[key].values for key in found if arrays[key].values is not None}
    for key, values in known.items():
        np.testing.assert_array_equal(values, found[key])


def run_whole(data: bytes, patches: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """What every node of a network gives, by ONNX Runtime, each node as it stands in the file."""
    model = onnx.load_from_string(data)
    names = [name for node in model.graph.node for name in node.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return dict(zip(names, session.run(names, {model.graph.input[0].name: patches}), strict=True))


def test_the_work_is_counted_as_on_paper(demo_bundle: Bundle) -> None:
    """The multiplications of the paper's three convolutions and two dense layers for one patch."""
    graph = read_graph(demo_bundle.network("fp32"), RULES)
    arrays = {key: Array.of(tensor) for key, tensor in graph.initializers.items()}
    arrays["patches"] = Array((1, 2, 64, 64), np.dtype(np.float32))
    follow(graph, arrays, 1)
    layers = [node.outputs[0] for node in graph.nodes if node.operator in ("Conv", "Gemm")]

    assert [math.prod(arrays[name].shape) * arrays[name].work for name in layers] == [
        64 * 64 * 128 * 2 * 9,
        32 * 32 * 64 * 128 * 9,
        16 * 16 * 32 * 64 * 9,
        2048 * 150,
        150 * 2,
    ]
