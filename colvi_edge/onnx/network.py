"""Is an ONNX file a network as bundles hold them: plain, harmless to load, of the shapes that it promises?

A file of some bytes can ask for terabytes: a pixel convolved into a million channels, a tensor forty times
behind itself, pads and scales without end. So the shape of every tensor is worked out as a runtime would,
for one patch and for a large batch, and so are the numbers that shapes are made of (by Shape, Gather,
Concat, ...). What then remains is in proportion to the patch. A network that answers for each pixel takes
windows of more than one size, and is followed through the largest of them, narrow ones and small ones; one
that takes whole images, through the longest and the largest that there may be.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from colvi_edge.onnx import layers, shapes
from colvi_edge.onnx.arrays import Array, Given, UnfitError
from colvi_edge.onnx.protobuf import DamagedError
from colvi_edge.onnx.reading import MOST_DIMENSIONS, Declared, Graph, NetworkError, Node, read_graph, shown
from colvi_edge.windows import MOST_WHOLE_PX

MOST_IMAGES = 256
"""Largest batch of any engine."""

SMALLEST_PATCH = 64 * 64
"""A smaller patch may have as much as one of so many pixels."""

MOST_OF_A_TENSOR = 2**10
"""Numbers for each pixel of a patch: 16 MiB of one of 64 x 64 pixels. The paper's network has 128, ResNets,
DenseNets and U-Nets 16 to 128."""

MOST_OF_ALL_TENSORS = 2**14
"""The same of all tensors together: 330 in the paper's network, up to 1,610 in others (ConvNeXt)."""

MOST_WORK = 2**22
"""Multiplications for each pixel: 22 thousand in the paper's network, up to 91 thousand in others. An image
of 1024 x 1024 pixels with the most of them takes 4 x 10^12."""

MOST_OF_A_WINDOW = 2**28
"""Numbers of one tensor for one window, 1 GiB in float32: a U-Net of 64 filters has half of it for one of
1024 x 1024 pixels."""

MOST_OF_AN_IMAGE = 2**30
"""Numbers of one tensor for a whole image of 2048 x 2048 pixels, the largest: a U-Net of 64 filters has half
of it, and attention along the rows of a long one four times as much."""

MOST_WINDOWS = 16
"""Largest batch of windows of any engine."""

SMALL_PX = 64
"""Edge of a small image, which is its own window."""

Rule = Callable[[Node, Given], list[Array]]

_ALIKE = (
    *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid", "HardSwish", "Sigmoid"),
    *("Tanh", "Erf", "Softplus", "Softsign", "Exp", "Log", "Sqrt", "Reciprocal"),
)

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_ALIKE, layers.same),
    "Identity": partial(layers.same, function=np.asarray),
    "Abs": partial(layers.same, function=np.abs),
    "Neg": partial(layers.same, function=np.negative),
    "Floor": partial(layers.same, function=np.floor),
    "Ceil": partial(layers.same, function=np.ceil),
    "Add": partial(layers.elementwise, function=np.add),
    "Sub": partial(layers.elementwise, function=np.subtract),
    "Mul": partial(layers.elementwise, function=np.multiply),
    "Div": partial(layers.elementwise, function=layers.divided),
    "Pow": partial(layers.elementwise, function=np.power),
    "Max": partial(layers.elementwise, function=np.maximum),
    "Min": partial(layers.elementwise, function=np.minimum),
    "Equal": partial(layers.elementwise, function=np.equal, dtype="bool"),
    "Clip": layers.clip,
    "PRelu": layers.slope,
    "BatchNormalization": layers.per_channel,
    "InstanceNormalization": layers.per_channel,
    "LayerNormalization": layers.layer_normalisation,
    "Softmax": layers.softmax,
    "LogSoftmax": layers.softmax,
    "Conv": layers.convolution,
    "ConvTranspose": layers.transposed_convolution,
    "MaxPool": layers.pool,
    "AveragePool": layers.pool,
    "GlobalAveragePool": layers.global_pool,
    "GlobalMaxPool": layers.global_pool,
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"), layers.reduce),
    "Resize": layers.resize,
    "Pad": layers.pad,
    "Gemm": layers.gemm,
    "MatMul": layers.matmul,
    "QuantizeLinear": layers.quantise,
    "DequantizeLinear": layers.dequantise,
    "Cast": shapes.cast,
    "Concat": shapes.concat,
    "Constant": shapes.constant,
    "ConstantOfShape": shapes.filled,
    "DepthToSpace": shapes.depth_to_space,
    "Expand": shapes.expand,
    "Flatten": shapes.flatten,
    "Gather": shapes.gather,
    "Reshape": shapes.reshape,
    "Shape": shapes.shape,
    "Slice": shapes.slice_,
    "SpaceToDepth": shapes.space_to_depth,
    "Split": shapes.split,
    "Squeeze": shapes.squeeze,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
    "Where": shapes.where,
}
"""What each operator that is taken makes of shapes: those to which our own networks and the usual ones
(ResNet, DenseNet, U-Net and others of torchvision) are exported, and their like."""


def check_network(
    data: bytes,
    channels: int,
    size_px: int | tuple[int, int],
    dtype: str = "float32",
    classes: int = 2,
) -> None:
    """Raise unless a file is a network (N, channels, h, w) of a dtype -> (N, classes) float32, N free.

    Args:
        data: the ONNX file.
        channels: of a patch, or of a whole image.
        size_px: edge of a patch, or height and width of an image, pixels.
        dtype: of its input, float32 or float16.
        classes: that it tells apart.

    Raises:
        NetworkError: it is another one, damaged, too large, or holds what is not taken.
    """
    graph = read_graph(data, RULES)
    sides = (size_px, size_px) if isinstance(size_px, int) else size_px
    _check_ends(graph, (None, channels, *sides), (None, classes), np.dtype(dtype))
    _follow(graph, [(images, channels, *sides) for images in (1, MOST_IMAGES)], np.dtype(dtype), (classes,))


def check_dense_network(
    data: bytes,
    channels: int,
    classes: int,
    window_px: int | None,
    step_px: int,
    dtype: str = "float32",
) -> None:
    """Raise unless a file is a network (N, channels, h, w) -> (N, classes, h, w) float32; N, h and w free.

    Args:
        data: the ONNX file.
        channels: of a window.
        classes: that it tells apart.
        window_px: edge of the windows that it is given; None where these are whole images, of any size.
        step_px: what h and w are multiples of.
        dtype: of its input, float32 or float16.

    Raises:
        NetworkError: it is another one, damaged, too large, or holds what is not taken.
    """
    graph = read_graph(data, RULES)
    _check_ends(graph, (None, channels, None, None), (None, classes, None, None), np.dtype(dtype))
    small = -(-SMALL_PX // step_px) * step_px
    large = window_px or 16 * small
    sizes = [(small, large), (large, small), (small, small), (large, large)]
    shapes = [(1, channels, *size) for size in sizes] + [(MOST_WINDOWS, channels, small, small)]
    for shape in shapes:
        _follow(graph, [shape], np.dtype(dtype), (classes, *shape[2:]))
    if window_px is None:
        side, long = (
            edge // step_px * step_px for edge in (math.isqrt(MOST_WHOLE_PX), MOST_WHOLE_PX // small)
        )
        for size in ((small, long), (long, small), (side, side)):
            shape = (1, channels, *size)
            _follow(graph, [shape], np.dtype(dtype), (classes, *size), MOST_OF_AN_IMAGE)


def _follow(
    graph: Graph,
    shapes: Sequence[tuple[int, ...]],
    dtype: "np.dtype[Any]",
    answer: tuple[int, ...],
    most: int = MOST_OF_A_WINDOW,
) -> None:
    """Follow inputs of some shapes, each of which gives so much for one of a batch."""
    try:
        tensors = {name: Array.of(tensor) for name, tensor in graph.initializers.items()}
        for shape in shapes:
            arrays = {**tensors, graph.inputs[0].name: Array(shape, dtype)}
            follow(graph, arrays, shape[0], answer, most)
    except DamagedError as error:
        raise NetworkError(str(error)) from error


def _check_ends(
    graph: Graph, taken: tuple[int | None, ...], given: tuple[int | None, ...], dtype: "np.dtype[Any]"
) -> None:
    """Raise unless a graph says that it has one input and one output, of the expected shapes."""
    for what, declared, sides, number in (
        ("input", graph.inputs, taken, dtype),
        ("output", graph.outputs, given, np.dtype(np.float32)),
    ):
        if len(declared) != 1:
            raise NetworkError(f"has {len(declared)} {what}s, expected one")
        if not _agrees(declared[0], sides) or declared[0].dtype != number:
            found = f"{_sides(declared[0].dims)} {declared[0].dtype}"
            raise NetworkError(f"has the {what} {found}, expected {_sides(sides)} {number}")


def _agrees(declared: Declared, sides: tuple[int | None, ...]) -> bool:
    """Return whether a shape is the expected one, as far as it says; what must be free is."""
    if len(declared.dims) != len(sides):
        return False
    return all(found in (None, side) for found, side in zip(declared.dims, sides, strict=True))


def follow(
    graph: Graph,
    arrays: dict[str, Array],
    images: int,
    answer: tuple[int, ...] = (2,),
    most: int = MOST_OF_A_WINDOW,
) -> None:
    """Work out every tensor of a batch.

    Args:
        graph: the network.
        arrays: its initializers and its input, by name; every other tensor is added.
        images: of the batch.
        answer: what it gives for each: (K,) classes, or (K, h, w).
        most: numbers of a tensor, for each.
    """
    pixels = images * max(SMALLEST_PATCH, math.prod(arrays[graph.inputs[0].name].shape[2:]))
    numbers = work = 0
    for node in graph.nodes:
        try:
            made = apply(node, [arrays[name] if name else None for name in node.inputs])
        except KeyError as error:
            raise NetworkError(f"uses {shown(str(error.args[0]))} before it is there") from None
        except UnfitError as error:
            raise NetworkError(f"has a node {node.operator} that {error}") from error
        for name, array in zip(node.outputs, made, strict=False):
            count = math.prod(array.shape)
            numbers += count
            work += count * array.work
            if count > min(pixels * MOST_OF_A_TENSOR, images * most):
                raise NetworkError(f"has a node {node.operator} whose output is {_sides(array.shape)}")
            if name in arrays:
                raise NetworkError(f"has {shown(name)} twice")
            if name:
                arrays[name] = array
        if numbers > pixels * MOST_OF_ALL_TENSORS or work > pixels * MOST_WORK:
            what = "patch" if len(answer) == 1 else "window"
            raise NetworkError(f"computes more for a {what} than any network here")
    result = arrays.get(graph.outputs[0].name)
    expected = (images, *answer)
    if result is None or result.shape != expected or result.dtype != np.float32:
        found = f"{_sides(result.shape)} {result.dtype}" if result else "nothing"
        of = "patches" if len(answer) == 1 else f"windows of {_sides(answer[1:])}"
        raise NetworkError(f"gives {found} for {images} {of}, expected {_sides(expected)} float32")


def apply(node: Node, given: Given) -> list[Array]:
    """Return what a node makes of arrays."""
    try:
        made = RULES[node.operator](node, given)
    except (UnfitError, NetworkError, DamagedError):
        raise
    except (ArithmeticError, IndexError, TypeError, ValueError) as error:
        raise UnfitError("does not fit what it is given") from error
    if not 1 <= len(node.outputs) <= len(made):
        raise UnfitError("has another number of outputs")
    if any(len(array.shape) > MOST_DIMENSIONS for array in made):
        raise UnfitError("gives more dimensions than any network here has")
    if any(length < (array.values is None) for array in made for length in array.shape):
        raise UnfitError("leaves nothing of what it is given")
    return made


def _sides(dims: tuple[int | None, ...]) -> str:
    return " x ".join("N" if side is None else str(side) for side in dims) or "a number"
