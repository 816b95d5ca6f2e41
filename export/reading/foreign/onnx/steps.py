"""What operators of ONNX do, in torch: one function for each, made once from what is known of the shapes.

A step is a function of the number of patches and of the node's tensors. All else (pads, axes, shapes) is
a number by then. Where a shape follows the number of patches, one length of it does, and is left to torch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from colvi_edge.onnx.arrays import axes_of, axis_of
from colvi_edge.onnx.reading import DTYPES

from . import windows
from .use import Step, Use

Unary = Callable[[Tensor], Tensor]


def _of(function: Unary) -> Callable[[Use], Step]:
    return lambda use: lambda batch, array: function(array)


def _bent(use: Use, function: Callable[[Tensor, float], Tensor], default: float) -> Step:
    alpha = use.float("alpha", default)
    return lambda batch, array: function(array, alpha)


def _selu(use: Use) -> Step:
    alpha, gamma = use.float("alpha", 1.6732632), use.float("gamma", 1.0507010)
    return lambda batch, array: gamma * functional.elu(array, alpha)


def _thresholded(use: Use) -> Step:
    alpha = use.float("alpha", 1.0)
    return lambda batch, array: torch.where(array > alpha, array, torch.zeros_like(array))


def _hard_sigmoid(use: Use) -> Step:
    alpha, beta = use.float("alpha", 0.2), use.float("beta", 0.5)
    return lambda batch, array: (alpha * array + beta).clamp(0, 1)


def _over(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Use], Step]:
    """Functions of two arrays, or of more of them in turn."""
    return lambda use: lambda batch, *arrays: reduce(function, arrays)


def _divide(left: Tensor, right: Tensor) -> Tensor:
    return left / right if left.is_floating_point() else torch.div(left, right, rounding_mode="trunc")


def _clip(use: Use) -> Step:
    low, high = use.number(1, -math.inf), use.number(2, math.inf)
    return lambda batch, array, *_: array.clamp(low, high)


def _slope(use: Use) -> Step:
    return lambda batch, array, slope: torch.where(array > 0, array, slope * array)


def _softmax(use: Use, function: Callable[..., Tensor]) -> Step:
    axis = use.node.int("axis", -1)
    return lambda batch, array: function(array, dim=axis)


def _batch_norm(use: Use) -> Step:
    epsilon = use.float("epsilon", 1e-5)
    return lambda batch, array, scale, bias, mean, variance: functional.batch_norm(
        array, mean, variance, scale, bias, training=False, eps=epsilon
    )


def _instance_norm(use: Use) -> Step:
    epsilon = use.float("epsilon", 1e-5)
    return lambda batch, array, scale, bias: functional.instance_norm(
        array, weight=scale, bias=bias, eps=epsilon
    )


def _layer_norm(use: Use) -> Step:
    epsilon, shape = use.float("epsilon", 1e-5), use.shape()
    over = list(shape[axis_of(use.node.int("axis", -1), len(shape)) :])
    if -1 in over:
        raise use.refused("normalises over the patches")

    def step(batch: int, array: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        even = functional.layer_norm(array, over, eps=epsilon) * scale
        return even if bias is None else even + bias

    return step


def _reduced(use: Use, function: Callable[..., Tensor]) -> Step:
    rank = len(use.given[0].shape) if use.given[0] else 0
    axes: Sequence[int] = use.node.ints("axes", ())
    if len(use.given) > 1 and use.given[1] is not None:
        axes = use.known(1)
    if not axes and use.node.int("noop_with_empty_axes", 0):
        return lambda batch, array, *_: function(array.unsqueeze(0), dim=[0], keepdim=False)
    over = axes_of(axes, rank) or list(range(rank))
    keeps = bool(use.node.int("keepdims", 1))
    return lambda batch, array, *_: function(array, dim=over, keepdim=keeps)


def _length(array: Tensor, dim: list[int], keepdim: bool) -> Tensor:
    return (array * array).sum(dim=dim, keepdim=keepdim).sqrt()


def _global_mean(use: Use) -> Step:
    rank = len(use.made[0].shape)
    if rank == 4:  # which goes to ONNX as what it was
        return lambda batch, array: functional.adaptive_avg_pool2d(array, 1)
    return lambda batch, array: array.mean(dim=list(range(2, rank)), keepdim=True)


def _global_max(use: Use) -> Step:
    over = list(range(2, len(use.made[0].shape)))
    return lambda batch, array: array.amax(dim=over, keepdim=True)


def _gemm(use: Use) -> Step:
    alpha, beta = use.float("alpha", 1.0), use.float("beta", 1.0)
    turn_left, turn_right = use.node.int("transA", 0), use.node.int("transB", 0)

    def step(batch: int, left: Tensor, right: Tensor, third: Tensor | None = None) -> Tensor:
        left, right = left.t() if turn_left else left, right if turn_right else right.t()
        if alpha == beta == 1 and (third is None or third.ndim == 1):
            return functional.linear(left, right, third)
        product = alpha * functional.linear(left, right)
        return product if third is None else product + beta * third

    return step


def _pad(use: Use) -> Step:
    pads, how = use.known(1), use.node.text("mode", "constant")
    value, rank = use.number(2, 0.0), len(pads) // 2
    if pads[0] or pads[rank]:
        raise use.refused("adds patches")
    sides = [pad for axis in reversed(range(rank)) for pad in (pads[axis], pads[axis + rank])]
    if how == "constant":
        return lambda batch, array, *_: functional.pad(array, sides, value=value)
    if rank != 4 or pads[1] or pads[1 + rank]:
        raise use.refused("pads channels by their edges")
    mode = {"edge": "replicate", "reflect": "reflect"}[how]
    return lambda batch, array, *_: functional.pad(array, sides[:4], mode=mode)


# What only moves numbers


def _reshaped(use: Use) -> Step:
    shape = use.shape()
    return lambda batch, array, *_: array.reshape(shape)


def _transpose(use: Use) -> Step:
    order = use.node.ints("perm", range(len(use.made[0].shape))[::-1])
    return lambda batch, array: array.permute(*order)


def _concat(use: Use) -> Step:
    axis = use.node.int("axis", 0)
    return lambda batch, *arrays: torch.cat(arrays, axis)


def _split(use: Use) -> Step:
    axis = use.node.int("axis", 0)
    lengths = [made.shape[axis] for made in use.made]
    return lambda batch, array, *_: torch.split(array, lengths, axis)


def _slice(use: Use) -> Step:
    array = use.given[0]
    assert array is not None  # noqa: S101 - as the rules have it
    starts, ends = use.known(1), use.known(2)
    axes = use.known(3) if len(use.given) > 3 and use.given[3] else list(range(len(starts)))
    steps = use.known(4) if len(use.given) > 4 and use.given[4] else [1] * len(starts)
    shape = use.shape()
    cuts: list[tuple[int, range]] = []
    for axis, start, end, stride in zip(axes_of(axes, len(array.shape)), starts, ends, steps, strict=True):
        side = array.shape[axis]
        if shape[axis] == -1:
            if (start, stride) != (0, 1) or use.made[0].shape[axis] != side:
                raise use.refused("takes some of the patches")
            continue
        cuts.append((axis, range(side)[start:end:stride]))

    def step(batch: int, array: Tensor, *_: Tensor) -> Tensor:
        for axis, places in cuts:
            if places.step > 0:
                array = array.narrow(axis, places.start, places[-1] + 1 - places.start)
                array = array[(slice(None),) * axis + (slice(None, None, places.step),)]
            else:
                array = array.index_select(axis, torch.tensor(list(places), device=array.device))
        return array

    return step


def _gather(use: Use) -> Step:
    array, places = use.given[:2]
    assert array is not None  # noqa: S101 - likewise
    assert places is not None  # noqa: S101 - likewise
    assert places.values is not None  # noqa: S101 - likewise
    axis = axis_of(use.node.int("axis", 0), len(array.shape))
    found = torch.from_numpy(np.ravel(places.values).astype(np.int64) % array.shape[axis])
    shape = use.shape()
    return lambda batch, array, *_: array.index_select(axis, found).reshape(shape)


def _expand(use: Use) -> Step:
    shape, given = use.shape(), use.given[0]
    assert given is not None  # noqa: S101 - likewise

    def step(batch: int, array: Tensor, *_: Tensor) -> Tensor:
        return array.expand(*(batch if side == -1 else side for side in shape))

    if -1 in shape and use.made[0].shape[shape.index(-1)] != 1:
        raise use.refused("repeats the patches")
    return step


def _filled(use: Use) -> Step:
    value, shape = use.node.attributes.get("value"), use.shape()
    if use.made[0].dtype != np.float32:
        raise use.refused("fills with what is no float32")
    number = 0.0 if value is None else float(np.ravel(value.array())[0])  # type: ignore[union-attr]
    if -1 in shape:
        raise use.refused("makes a tensor for each patch")
    return lambda batch, *_: torch.full(shape, number)


def _depth_to_space(use: Use) -> Step:
    block, turned = use.node.int("blocksize", 1), use.node.text("mode", "DCR") == "DCR"
    made = use.made[0].shape

    def step(batch: int, array: Tensor) -> Tensor:
        if not turned:
            return functional.pixel_shuffle(array, block)
        _, channels, height, width = made
        parts = array.reshape(-1, block, block, channels, height // block, width // block)
        return parts.permute(0, 3, 4, 1, 5, 2).reshape(-1, channels, height, width)

    return step


def _space_to_depth(use: Use) -> Step:
    block, (_, channels, height, width) = use.node.int("blocksize", 1), use.made[0].shape

    def step(batch: int, array: Tensor) -> Tensor:
        parts = array.reshape(-1, channels // block**2, height, block, width, block)
        return parts.permute(0, 3, 5, 1, 2, 4).reshape(-1, channels, height, width)

    return step


def _cast(use: Use) -> Step:
    to = DTYPES[use.node.int("to", 0)]
    if to.kind == "f":  # what is one stays as it is: float32, or float16 where the whole network is
        return lambda batch, array: array.to(torch.get_default_dtype()) if array.dtype in _WHOLE else array
    kind = {"int32": torch.int32, "int64": torch.int64, "bool": torch.bool}.get(to.name)
    if kind is None:
        raise use.refused(f"makes {to.name}")
    return lambda batch, array: array.to(kind)


_WHOLE = (torch.int32, torch.int64, torch.bool)


STEPS: Mapping[str, Callable[[Use], Step]] = {
    "LeakyRelu": partial(_bent, function=functional.leaky_relu, default=0.01),
    "Elu": partial(_bent, function=functional.elu, default=1.0),
    "Celu": partial(_bent, function=functional.celu, default=1.0),
    "Selu": _selu,
    "ThresholdedRelu": _thresholded,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _of(lambda array: array * (array / 6 + 0.5).clamp(0, 1)),
    "Sigmoid": _of(torch.sigmoid),
    "Tanh": _of(torch.tanh),
    "Erf": _of(torch.erf),
    "Softplus": _of(functional.softplus),
    "Softsign": _of(functional.softsign),
    "Exp": _of(torch.exp),
    "Log": _of(torch.log),
    "Sqrt": _of(torch.sqrt),
    "Reciprocal": _of(torch.reciprocal),
    "Identity": _of(lambda array: array),
    "Abs": _of(torch.abs),
    "Neg": _of(torch.neg),
    "Floor": _of(torch.floor),
    "Ceil": _of(torch.ceil),
    "Add": _over(torch.add),
    "Sub": _over(torch.sub),
    "Mul": _over(torch.mul),
    "Div": _over(_divide),
    "Pow": _over(torch.pow),
    "Max": _over(torch.maximum),
    "Min": _over(torch.minimum),
    "Equal": _over(torch.eq),
    "Clip": _clip,
    "PRelu": _slope,
    "Softmax": partial(_softmax, function=torch.softmax),
    "LogSoftmax": partial(_softmax, function=torch.log_softmax),
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "Conv": windows.convolution,
    "ConvTranspose": windows.transposed_convolution,
    "MaxPool": windows.max_pool,
    "AveragePool": windows.average_pool,
    "GlobalAveragePool": _global_mean,
    "GlobalMaxPool": _global_max,
    "ReduceMean": partial(_reduced, function=torch.mean),
    "ReduceSum": partial(_reduced, function=torch.sum),
    "ReduceMax": partial(_reduced, function=torch.amax),
    "ReduceMin": partial(_reduced, function=torch.amin),
    "ReduceL2": partial(_reduced, function=_length),
    "Resize": windows.resize,
    "Pad": _pad,
    "Gemm": _gemm,
    "MatMul": _over(torch.matmul),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _filled,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _reshaped,
    "Gather": _gather,
    "Reshape": _reshaped,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _reshaped,
    "Transpose": _transpose,
    "Unsqueeze": _reshaped,
    "Where": lambda use: lambda batch, where, one, other: torch.where(where, one, other),
}
"""All operators of `forms.OPERATORS` in their known form, but Relu, which is a module of torch."""
