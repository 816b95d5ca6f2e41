"""How operators that compute on pixels change a shape: layers, norms, windows, matrices, quantisation."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.onnx.arrays import (
    MOST_OF_AN_ATTRIBUTE,
    Array,
    Given,
    Shape,
    UnfitError,
    axes_of,
    axis_of,
    broadcast,
    check,
    known,
    need,
    numbers,
    optional,
    with_values,
)
from colvi_edge.onnx.reading import Node


def same(node: Node, given: Given, function: Callable[..., NDArray[Any]] | None = None) -> list[Array]:
    """Activations and other functions of one array."""
    array = need(given, 0)
    made = Array(array.shape, array.dtype)
    return [with_values(made, lambda: function(array.values), array) if function else made]


def per_channel(node: Node, given: Given) -> list[Array]:
    """BatchNormalization and InstanceNormalization: numbers for each channel."""
    array = need(given, 0)
    for number in range(1, len(given)):
        check(need(given, number).shape == array.shape[1:2])
    return [Array(array.shape, array.dtype, work=4)]


def layer_normalisation(node: Node, given: Given) -> list[Array]:
    """LayerNormalization: scale and bias for each of the last axes."""
    array = need(given, 0)
    axis = axis_of(node.int("axis", -1), len(array.shape))
    for other in given[1:]:
        check(other is None or broadcast(other.shape, array.shape[axis:]) == array.shape[axis:])
    return [Array(array.shape, array.dtype, work=4)]


def softmax(node: Node, given: Given) -> list[Array]:
    """Softmax and its logarithm."""
    array = need(given, 0)
    axis_of(node.int("axis", -1), len(array.shape))
    return [Array(array.shape, array.dtype, work=4)]


def elementwise(
    node: Node, given: Given, function: Callable[..., NDArray[Any]], dtype: str = ""
) -> list[Array]:
    """Functions of several arrays of one dtype, broadcast by NumPy's rule."""
    arrays = [need(given, number) for number in range(len(given))]
    check(bool(arrays) and len({array.dtype for array in arrays}) == 1)
    shape = broadcast(*(array.shape for array in arrays))
    if function is divided and arrays[0].dtype.kind in "iu":  # by 0 it ends the process
        check(bool(np.all(known(given, 1) != 0)))
    made = Array(shape, np.dtype(dtype) if dtype else arrays[0].dtype)

    def compute() -> NDArray[Any]:
        result = arrays[0].values
        for array in arrays[1:]:
            result = function(result, array.values)
        return np.asarray(result)

    return [with_values(made, compute, *arrays)]


def divided(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Divide as C does: whole numbers are cut towards 0."""
    if left.dtype.kind == "f":
        return np.asarray(left / right)
    return np.asarray(np.sign(left) * np.sign(right) * (np.abs(left) // np.abs(right)))


def clip(node: Node, given: Given) -> list[Array]:
    """Clip: its limits are numbers."""
    array = need(given, 0)
    check(all(limit is None or limit.shape in ((), (1,)) for limit in given[1:]))
    return [Array(array.shape, array.dtype)]


def slope(node: Node, given: Given) -> list[Array]:
    """PRelu: slopes that fit the array."""
    array, slope = need(given, 0), need(given, 1)
    check(broadcast(array.shape, slope.shape) == array.shape)
    return [Array(array.shape, array.dtype)]


# Windows that move over the pixels


def _windows(
    node: Node, sides: Shape, kernel: Sequence[int], round_up: bool = False
) -> tuple[Shape, Sequence[int]]:
    """Return how many places windows of a kernel have along each axis, and the pads."""
    rank = len(sides)
    strides, dilations = node.ints("strides", [1] * rank), node.ints("dilations", [1] * rank)
    pads = node.ints("pads", [0] * 2 * rank)
    check(rank >= 1 and len(kernel) == len(strides) == len(dilations) == rank and len(pads) == 2 * rank)
    check(all(1 <= one <= MOST_OF_AN_ATTRIBUTE for one in (*kernel, *strides, *dilations)))
    check(all(0 <= one <= MOST_OF_AN_ATTRIBUTE for one in pads))
    automatic = node.text("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(-(-side // stride) for side, stride in zip(sides, strides, strict=True)), pads
    if automatic not in ("NOTSET", "VALID"):
        raise UnfitError("pads in a way that is not known here")
    places = []
    for axis, (side, size, stride, dilation) in enumerate(
        zip(sides, kernel, strides, dilations, strict=True)
    ):
        before, after = (pads[axis], pads[axis + rank]) if automatic == "NOTSET" else (0, 0)
        left = side + before + after - ((size - 1) * dilation + 1)
        count = (-(-left // stride) if round_up else left // stride) + 1
        if round_up and (count - 1) * stride >= side + before:  # no window begins in the last pad
            count -= 1
        places.append(count if left >= 0 else 0)
    return tuple(places), pads


def convolution(node: Node, given: Given) -> list[Array]:
    """Conv: (N, C, ...) with weights (M, C / groups, ...)."""
    array, weights = need(given, 0), need(given, 1)
    check(len(array.shape) == len(weights.shape) >= 3 and array.dtype == weights.dtype)
    (images, channels, *sides), (filters, held, *kernel) = array.shape, weights.shape
    groups = node.int("group", 1)
    check(groups >= 1 and held * groups == channels and filters % groups == 0)
    check(list(node.ints("kernel_shape", kernel)) == kernel)
    bias = optional(given, 2)
    check(bias is None or bias.shape == (filters,))
    places, _ = _windows(node, tuple(sides), kernel)
    return [Array((images, filters, *places), array.dtype, work=held * math.prod(kernel))]


def transposed_convolution(node: Node, given: Given) -> list[Array]:
    """ConvTranspose: (N, C, ...) with weights (C, M / groups, ...)."""
    array, weights = need(given, 0), need(given, 1)
    check(len(array.shape) == len(weights.shape) >= 3 and array.dtype == weights.dtype)
    (images, channels, *sides), (held, filters, *kernel) = array.shape, weights.shape
    groups, rank = node.int("group", 1), len(sides)
    check(groups >= 1 and held == channels and channels % groups == 0)
    check(list(node.ints("kernel_shape", kernel)) == kernel and "output_shape" not in node.attributes)
    check(node.text("auto_pad", "NOTSET") == "NOTSET")
    bias = optional(given, 2)
    check(bias is None or bias.shape == (filters * groups,))
    strides, dilations = node.ints("strides", [1] * rank), node.ints("dilations", [1] * rank)
    pads, more = node.ints("pads", [0] * 2 * rank), node.ints("output_padding", [0] * rank)
    check(len(strides) == len(dilations) == len(more) == rank and len(pads) == 2 * rank)
    check(all(1 <= one <= MOST_OF_AN_ATTRIBUTE for one in (*strides, *dilations)))
    check(all(0 <= one <= MOST_OF_AN_ATTRIBUTE for one in (*pads, *more)))
    made = [
        (side - 1) * strides[k] + (kernel[k] - 1) * dilations[k] + 1 + more[k] - pads[k] - pads[k + rank]
        for k, side in enumerate(sides)
    ]
    work = channels // groups * math.prod(kernel)
    return [Array((images, filters * groups, *made), array.dtype, work=work)]


def pool(node: Node, given: Given) -> list[Array]:
    """MaxPool and AveragePool, with one output."""
    array = need(given, 0)
    check(len(array.shape) >= 3 and node.int("storage_order", 0) == 0)
    kernel = node.ints("kernel_shape", ())
    places, pads = _windows(node, array.shape[2:], kernel, bool(node.int("ceil_mode", 0)))
    check(all(pad < size for pad, size in zip(pads, (*kernel, *kernel), strict=True)))
    return [Array((*array.shape[:2], *places), array.dtype, work=math.prod(kernel))]


def global_pool(node: Node, given: Given) -> list[Array]:
    """GlobalAveragePool and GlobalMaxPool."""
    array = need(given, 0)
    check(len(array.shape) >= 3)
    ones = (1,) * (len(array.shape) - 2)
    return [Array((*array.shape[:2], *ones), array.dtype, work=math.prod(array.shape[2:]))]


def reduce(node: Node, given: Given) -> list[Array]:
    """ReduceMean and its like: axes are an attribute, or an input of some of them."""
    array = need(given, 0)
    axes: Sequence[int] = node.ints("axes", ())
    if optional(given, 1) is not None:
        axes = numbers(given, 1)
    rank = len(array.shape)
    left_out = axes_of(axes, rank) or ([] if node.int("noop_with_empty_axes", 0) else list(range(rank)))
    keeps = node.int("keepdims", 1)
    shape = [1 if axis in left_out else side for axis, side in enumerate(array.shape)]
    kept = [side for axis, side in enumerate(shape) if keeps or axis not in left_out]
    return [Array(tuple(kept), array.dtype, work=math.prod(array.shape[axis] for axis in left_out))]


def resize(node: Node, given: Given) -> list[Array]:
    """Resize: by scales or to sizes that are known."""
    array = need(given, 0)
    check(node.text("mode", "nearest") in ("nearest", "linear", "cubic"))
    check(node.text("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize")
    sizes, scales = optional(given, 3), optional(given, 2)
    if sizes is not None:
        shape = tuple(numbers(given, 3))
    else:
        check(scales is not None)
        factors = [float(factor) for factor in known(given, 2)]
        check(all(0 < factor <= MOST_OF_AN_ATTRIBUTE for factor in factors))
        shape = tuple(math.floor(side * factor) for side, factor in zip(array.shape, factors, strict=True))
    check(len(shape) == len(array.shape))
    return [Array(shape, array.dtype, work=16)]


def pad(node: Node, given: Given) -> list[Array]:
    """Pad: by numbers that are known; below 0 it cuts."""
    array, rank = need(given, 0), len(need(given, 0).shape)
    pads, how = numbers(given, 1), node.text("mode", "constant")
    check(len(pads) == 2 * rank and all(abs(pad) <= MOST_OF_AN_ATTRIBUTE for pad in pads))
    check(how in ("constant", "edge", "reflect") and len(given) <= 3)
    sides = array.shape
    check(how != "reflect" or all(pad < sides[k % rank] for k, pad in enumerate(pads)))
    return [Array(tuple(side + pads[k] + pads[k + rank] for k, side in enumerate(sides)), array.dtype)]


# Matrices


def gemm(node: Node, given: Given) -> list[Array]:
    """Gemm: two matrices, and what fits their product."""
    left, right, third = need(given, 0), need(given, 1), optional(given, 2)
    check(len(left.shape) == len(right.shape) == 2 and left.dtype == right.dtype)
    rows, inner = left.shape[::-1] if node.int("transA", 0) else left.shape
    height, columns = right.shape[::-1] if node.int("transB", 0) else right.shape
    shape = (rows, columns)
    check(inner == height and (third is None or broadcast(third.shape, shape) == shape))
    return [Array(shape, left.dtype, work=inner)]


def matmul(node: Node, given: Given) -> list[Array]:
    """MatMul: matrices, or stacks of them."""
    left, right = need(given, 0), need(given, 1)
    check(min(len(left.shape), len(right.shape)) >= 2 and left.dtype == right.dtype)
    check(left.shape[-1] == right.shape[-2])
    whole = broadcast(left.shape[:-2], right.shape[:-2])
    return [Array((*whole, left.shape[-2], right.shape[-1]), left.dtype, work=left.shape[-1])]


# Quantisation


def _scaled(node: Node, given: Given) -> tuple[Array, Array, "np.dtype[Any]"]:
    """Return the array, the scales, and the dtype of the quantised numbers, which is the zero point's."""
    array, scales, zero = need(given, 0), need(given, 1), optional(given, 2)
    along = (
        array.shape[axis_of(node.int("axis", 1), len(array.shape))] if scales.shape not in ((), (1,)) else 1
    )
    check(math.prod(scales.shape) == along and len(scales.shape) <= 1)
    check(zero is None or zero.shape == scales.shape)
    return array, scales, zero.dtype if zero else np.dtype("uint8")


def quantise(node: Node, given: Given) -> list[Array]:
    """QuantizeLinear."""
    array, _, dtype = _scaled(node, given)
    return [Array(array.shape, dtype)]


def dequantise(node: Node, given: Given) -> list[Array]:
    """DequantizeLinear."""
    array, scales, _ = _scaled(node, given)
    return [Array(array.shape, scales.dtype)]
