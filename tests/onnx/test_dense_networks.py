"""Networks that answer for each pixel: every exported form is taken, and what costs too much is not."""

from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from colvi_edge.export.converting.onnx import to_onnx
from colvi_edge.export.converting.quantise import Target, quantise
from colvi_edge.export.networks.patch_cnn import Probabilities
from colvi_edge.export.networks.unet import Norm, UNet, Up
from colvi_edge.onnx import NetworkError, check_dense_network, check_network
from tests.tools.networks import ARCHITECTURES

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns of norms while it traces


def exported(norm: Norm = "batch", up: Up = "nearest", *, half: bool = False) -> bytes:
    """A small U-Net of three classes, as the export writes it."""
    torch.manual_seed(0)
    network = Probabilities(UNet(2, 3, 2, 4, norm, up), "softmax").eval()
    return to_onnx(network, 2, 64, half=half, dense=True)


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("up", get_args(Up))
@pytest.mark.parametrize("norm", get_args(Norm))
def test_every_form_is_taken(norm: Norm, up: Up, half: bool) -> None:
    """Also for whole images; and by one with other classes it is not."""
    data, dtype = exported(norm, up, half=half), "float16" if half else "float32"

    check_dense_network(data, 2, 3, 256, 4, dtype)
    check_dense_network(data, 2, 3, None, 4, dtype)
    with pytest.raises(NetworkError, match="has the output N x 3 x N x N float32, expected N x 4 x N x N"):
        check_dense_network(data, 2, 4, 256, 4, dtype)


@pytest.mark.parametrize("held", ["", "heads"])
@pytest.mark.parametrize("target", get_args(Target))
@pytest.mark.parametrize("up", get_args(Up))
def test_every_quantised_form_is_taken(up: Up, target: Target, held: Any) -> None:
    """And 'heads' stay in float: the last convolution's weights are then no integers."""
    noise = np.random.default_rng(0).standard_normal((8, 2, 128, 128)).astype(np.float32)
    data = quantise(exported(up=up), noise, target, "min-max", held=held)
    graph = onnx.load_from_string(data).graph
    last = [node for node in graph.node if node.op_type == "Conv"][-1]
    maker = {name: node.op_type for node in graph.node for name in node.output}

    check_dense_network(data, 2, 3, 256, 4)
    assert maker.get(last.input[1], "") == ("" if held else "DequantizeLinear")


class _OfFixedSize(nn.Module):
    """Resizes its answer to the size that it was traced with."""

    def forward(self, windows: Tensor) -> Tensor:
        found = nn.functional.max_pool2d(windows, 2)
        return nn.functional.interpolate(found, size=(64, 64)).softmax(1)


class _Squared(nn.Module):
    """Multiplies every pixel with every other: attention over all of them."""

    def forward(self, windows: Tensor) -> Tensor:
        flat = windows.flatten(2)
        weights = flat.transpose(1, 2).matmul(flat).softmax(-1)
        return flat.matmul(weights).reshape(windows.shape).softmax(1)


class _Along(nn.Module):
    """Multiplies every column with every other: attention along one axis, of sums along the other."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self._axis = axis

    def forward(self, windows: Tensor) -> Tensor:
        sums = windows.mean(dim=5 - self._axis)
        weights = sums.transpose(1, 2).matmul(sums).softmax(-1)
        return (windows + sums.matmul(weights).unsqueeze(5 - self._axis)).softmax(1)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_whole_image_may_be_a_long_one(axis: int) -> None:
    """64 x 65536 pixels are legal, and 2^32 products of columns no network's; windows are never so long."""
    data = to_onnx(_Along(axis).eval(), 2, 64, dense=True)

    check_dense_network(data, 2, 2, 2048, 1)
    with pytest.raises(NetworkError, match=r"has a node \w+ whose output is 1 x 65536 x 65536"):
        check_dense_network(data, 2, 2, None, 1)


@pytest.mark.parametrize("step_px", [1, 16])
def test_a_unet_of_64_filters_takes_whole_images(step_px: int) -> None:
    """The largest that is common: its 128 maps of 2048 x 2048 pixels are half of what is allowed."""
    data = to_onnx(Probabilities(UNet(1, 2, 1, 64), "softmax").eval(), 1, 64, dense=True)

    check_dense_network(data, 1, 2, None, 2 * step_px)


class _Shifted(nn.Module):
    """Answers one column short."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows[..., 1:].softmax(1)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (_OfFixedSize(), r"gives 1 x 2 x 64 x 64 float32 for 1 windows of 64 x 256"),
        (_Squared(), r"has a node \w+ whose output is 1 x \d+ x \d+"),
        (_Shifted(), r"gives 1 x 2 x 64 x 255 float32 for 1 windows of 64 x 256"),
    ],
)
def test_what_is_no_window_is_refused(network: nn.Module, words: str) -> None:
    """By the shapes that it would have at other sizes, before anything runs."""
    data = to_onnx(network.eval(), 2, 64, dense=True)

    with pytest.raises(NetworkError, match=words):
        check_dense_network(data, 2, 2, 256, 1)


def test_height_and_width_must_be_free() -> None:
    """A patch network's file is none for windows, nor the other way."""
    data = to_onnx(Probabilities(UNet(2, 2, 1, 4), "softmax").eval(), 2, 64)
    with pytest.raises(NetworkError, match="has the input N x 2 x 64 x 64 float32, expected N x 2 x N x N"):
        check_dense_network(data, 2, 2, 64, 2)
    with pytest.raises(NetworkError, match="has the output N x 3 x N x N float32, expected N x 2 float32"):
        check_network(exported(), 2, 64)


def test_a_window_has_a_largest_tensor() -> None:
    """256 maps of 1024 x 1024 pixels are 1 GiB; one more is refused, though each pixel has few numbers."""

    def wide(maps: int) -> bytes:
        shape: list[str | int | None] = ["N", 1, "h", "w"]
        nodes = [
            helper.make_node("Conv", ["windows", "w"], ["m"], kernel_shape=[1, 1]),
            helper.make_node("Conv", ["m", "v"], ["l"], kernel_shape=[1, 1]),
            helper.make_node("Softmax", ["l"], ["p"], axis=1),
        ]
        weights = [
            helper.make_tensor("w", TensorProto.FLOAT, [maps, 1, 1, 1], np.ones(maps)),
            helper.make_tensor("v", TensorProto.FLOAT, [2, maps, 1, 1], np.ones(2 * maps)),
        ]
        graph = helper.make_graph(
            nodes,
            "wide",
            [helper.make_tensor_value_info("windows", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 2, "h", "w"])],
            weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(model.SerializeToString())

    check_dense_network(wide(256), 1, 2, 1024, 1)
    with pytest.raises(NetworkError, match="a node Conv whose output is 1 x 257 x 1024 x 1024"):
        check_dense_network(wide(257), 1, 2, 1024, 1)


def _of_classes(name: str, classes: int) -> nn.Module:
    """A network of the usual kind with another last layer, which judges images of any size."""
    torch.manual_seed(0)
    network = ARCHITECTURES[name]()
    heads = [(key, part) for key, part in network.named_modules() if isinstance(part, nn.Linear)]
    key, head = heads[-1]
    place, _, last = key.rpartition(".")
    setattr(network.get_submodule(place), last, nn.Linear(head.in_features, classes))
    return network.eval()


@pytest.mark.parametrize("name", ["resnet", "densenet"])
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_classifiers_of_whole_images_are_taken(name: str, size: tuple[int, int]) -> None:
    """In any number of classes and any size, each with its own."""
    data = to_onnx(Probabilities(_of_classes(name, 5), "softmax").eval(), 2, size)

    check_network(data, 2, size, classes=5)
    with pytest.raises(NetworkError, match="expected N x 4 float32"):
        check_network(data, 2, size, classes=4)
    with pytest.raises(NetworkError, match="expected N x 2 x 32 x 32 float32"):
        check_network(data, 2, 32, classes=5)
