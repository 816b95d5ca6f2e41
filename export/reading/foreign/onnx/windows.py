"""Windows that move over the pixels, in torch: convolutions, pools, interpolation.

Torch pads both ends of an axis alike; ONNX, and TensorFlow's "same" above all, need not. Where they differ,
pixels are put around first, so that there are exactly as many windows as ONNX has.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .use import Step, Use

_CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
_TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
_MAXIMA = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
_MEANS = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


@dataclass(frozen=True)
class _Windows:
    """How windows lie on the pixels, along each axis.

    Attributes:
        kernel, strides, dilations: of a window.
        before: pixels that are put before the first.
        after: the same behind the last, as many as the last window reaches, below 0 where it ends earlier.
        told: as many as the node says, of which the last window may leave out some.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]
    told: list[int]

    @property
    def are_even(self) -> bool:
        """Whether torch pads just so: both ends alike, and as many windows as fit."""
        return all(
            one == other and 0 <= other - reached < step
            for one, other, reached, step in zip(
                self.before, self.told, self.after, self.strides, strict=True
            )
        )

    def around(self) -> list[int]:
        """Return the pads in the order that torch has: the last axis first; none below 0."""
        pairs = list(zip(self.before, self.after, strict=True))
        return [max(0, side) for pair in reversed(pairs) for side in pair]


def _windows(use: Use, kernel: Sequence[int]) -> _Windows:
    array = use.given[0]
    assert array is not None  # noqa: S101 - as the rules have it
    sides, places, rank = array.shape[2:], use.made[0].shape[2:], len(kernel)
    strides = list(use.node.ints("strides", [1] * rank))
    dilations = list(use.node.ints("dilations", [1] * rank))
    pads = list(use.node.ints("pads", [0] * 2 * rank))
    automatic = use.node.text("auto_pad", "NOTSET")
    before, after, told = [], [], []
    for axis in range(rank):
        reach = (places[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        missing = max(0, reach - sides[axis])
        if automatic.startswith("SAME"):
            first = missing // 2 if automatic == "SAME_UPPER" else missing - missing // 2
            declared = missing - first
        else:
            first, declared = (pads[axis], pads[axis + rank]) if automatic == "NOTSET" else (0, 0)
        before.append(first)
        after.append(reach - sides[axis] - first)
        told.append(declared)
    return _Windows(list(kernel), strides, dilations, before, after, told)


def convolution(use: Use) -> Step:
    """Conv."""
    weights = use.given[1]
    assert weights is not None  # noqa: S101 - likewise
    windows, groups = _windows(use, weights.shape[2:]), use.node.int("group", 1)
    run = _CONVOLUTIONS[len(windows.kernel) - 1]
    even, around = windows.are_even, windows.around()

    def step(batch: int, array: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if not even:
            array = functional.pad(array, around)
        padding = windows.before if even else 0
        return run(array, weight, bias, windows.strides, padding, windows.dilations, groups)

    return step


def transposed_convolution(use: Use) -> Step:
    """ConvTranspose: torch gives all that the windows cover, and the pads are cut off."""
    weights = use.given[1]
    assert weights is not None  # noqa: S101 - likewise
    rank = len(weights.shape) - 2
    strides, dilations = use.node.ints("strides", [1] * rank), use.node.ints("dilations", [1] * rank)
    pads, more = use.node.ints("pads", [0] * 2 * rank), use.node.ints("output_padding", [0] * rank)
    run, groups = _TRANSPOSED[rank - 1], use.node.int("group", 1)
    before, after = list(pads[:rank]), list(pads[rank:])
    even, sides = before == after, use.made[0].shape[2:]

    def step(batch: int, array: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        padding = before if even else 0
        whole = run(array, weight, bias, strides, padding, more, groups, dilations)
        if not even:
            for axis, (first, side) in enumerate(zip(before, sides, strict=True), 2):
                whole = whole.narrow(axis, first, side)
        return whole

    return step


def max_pool(use: Use) -> Step:
    """MaxPool, with one output."""
    windows = _windows(use, use.node.ints("kernel_shape", ()))
    run = _MAXIMA[len(windows.kernel) - 1]
    fits = [
        2 * before <= size and ceiled
        for before, size, ceiled in zip(
            windows.before, windows.kernel, _are_ceiled(use, windows), strict=True
        )
    ]
    rounds_up = not windows.are_even
    around = windows.around()

    def step(batch: int, array: Tensor) -> Tensor:
        if rounds_up and not all(fits):
            array = functional.pad(array, around, value=-math.inf)
            return run(array, windows.kernel, windows.strides, 0, windows.dilations)
        return run(array, windows.kernel, windows.strides, windows.before, windows.dilations, rounds_up)

    return step


def _are_ceiled(use: Use, windows: _Windows) -> list[bool]:
    """Return along which axes torch, rounding up, has as many windows as ONNX: no infinite pad is needed."""
    array = use.given[0]
    assert array is not None  # noqa: S101 - likewise
    result = []
    for axis, (side, places) in enumerate(zip(array.shape[2:], use.made[0].shape[2:], strict=True)):
        before, step = windows.before[axis], windows.strides[axis]
        left = side + 2 * before - ((windows.kernel[axis] - 1) * windows.dilations[axis] + 1)
        count = -(-left // step) + 1
        if (count - 1) * step >= side + before:
            count -= 1
        result.append(count == places)
    return result


def average_pool(use: Use) -> Step:
    """AveragePool: where torch would count other pixels, the sum of a window over those that ONNX counts."""
    windows = _windows(use, use.node.ints("kernel_shape", ()))
    if set(windows.dilations) != {1}:
        raise use.refused("takes the mean of pixels apart")
    run, counts_pads = _MEANS[len(windows.kernel) - 1], bool(use.node.int("count_include_pad", 0))
    if windows.are_even and all(
        2 * b <= size for b, size in zip(windows.before, windows.kernel, strict=True)
    ):
        return lambda batch, array: run(
            array, windows.kernel, windows.strides, windows.before, False, counts_pads
        )
    array, around = use.given[0], windows.around()
    assert array is not None  # noqa: S101 - likewise
    counted = torch.ones(1, 1, *array.shape[2:])
    if counts_pads:
        told = [side for pair in zip(windows.before, windows.told, strict=True) for side in pair]
        pairs = [told[k : k + 2] for k in range(0, len(told), 2)]
        counted = functional.pad(counted, [side for pair in reversed(pairs) for side in pair], value=1.0)
        left = [max(0, after - there) for after, there in zip(windows.after, windows.told, strict=True)]
        counted = functional.pad(counted, [side for more in reversed(left) for side in (0, more)])
    else:
        counted = functional.pad(counted, around)
    factor = 1 / run(counted, windows.kernel, windows.strides)

    def step(batch: int, array: Tensor) -> Tensor:
        means = run(functional.pad(array, around), windows.kernel, windows.strides)
        return means * factor.to(means.dtype)

    return step


# Interpolation


def resize(use: Use) -> Step:
    """Resize of pixels, not of channels: by torch where it does the same, else place by place."""
    array = use.given[0]
    assert array is not None  # noqa: S101 - likewise
    sides, made = array.shape[2:], use.made[0].shape[2:]
    if len(sides) != 2 or array.shape[:2] != use.made[0].shape[:2]:
        raise use.refused("resizes more than height and width")
    mode, how = (
        use.node.text("mode", "nearest"),
        use.node.text("coordinate_transformation_mode", "half_pixel"),
    )
    scales = use.given[2] if len(use.given) > 2 else None
    factors = (
        [float(one) for one in np.ravel(scales.values)[2:]]
        if scales is not None and scales.values is not None and scales.values.size
        else [out / side for out, side in zip(made, sides, strict=True)]
    )
    if mode == "nearest":
        return _nearest(use, sides, made, factors, how)
    if use.node.int("exclude_outside", 0) or use.float("cubic_coeff_a", -0.75) != -0.75:
        raise use.refused("weighs pixels in a way of its own")
    plain = all(math.isclose(out, side * f) for out, side, f in zip(made, sides, factors, strict=True))
    if how not in ("half_pixel", "pytorch_half_pixel", "align_corners") or not plain:
        raise use.refused(f"places pixels by {how}")
    if how == "pytorch_half_pixel" and 1 in made:
        raise use.refused(f"places pixels by {how}")
    kind, corners = {"linear": "bilinear", "cubic": "bicubic"}[mode], how == "align_corners"
    if times := _times(use, corners=corners):
        return lambda batch, array, *_: functional.interpolate(
            array, scale_factor=times, mode=kind, align_corners=False
        )
    return lambda batch, array, *_: functional.interpolate(array, size=made, mode=kind, align_corners=corners)


def _times(use: Use, *, corners: bool = False) -> tuple[float, float] | None:
    """Return the whole numbers by which a node says that it multiplies height and width, of any size.

    None where it names sizes, or places its pixels by them.
    """
    scales = use.given[2] if len(use.given) > 2 else None
    if corners or scales is None or scales.values is None or not scales.values.size:
        return None
    down, right = (float(one) for one in np.ravel(scales.values)[2:])
    return (down, right) if down.is_integer() and right.is_integer() and min(down, right) >= 1 else None


def _nearest(use: Use, sides: Sequence[int], made: Sequence[int], factors: Sequence[float], how: str) -> Step:
    if tuple(sides) == tuple(made):  # whatever the scales say, ONNX Runtime leaves it alone
        return lambda batch, array, *_: array
    rounding = use.node.text("nearest_mode", "round_prefer_floor")
    if how not in _PLACES or rounding not in _ROUNDINGS:
        raise use.refused(f"places pixels by {how} and {rounding}")
    taken = [
        np.clip(
            _ROUNDINGS[rounding](_PLACES[how](np.arange(out, dtype=np.float32), np.float32(f), side, out)),
            0,
            side - 1,
        )
        for side, out, f in zip(sides, made, factors, strict=True)
    ]
    if all(
        np.array_equal(places, np.arange(out) * side // out)
        for places, side, out in zip(taken, sides, made, strict=True)
    ):
        if times := _times(use):
            return lambda batch, array, *_: functional.interpolate(array, scale_factor=times, mode="nearest")
        return lambda batch, array, *_: functional.interpolate(array, size=tuple(made), mode="nearest")
    rows, columns = (torch.from_numpy(places.astype(np.int64)) for places in taken)
    return lambda batch, array, *_: array.index_select(2, rows).index_select(3, columns)


_Places = Callable[[NDArray[Any], np.float32, int, int], NDArray[Any]]

_PLACES: dict[str, _Places] = {
    "asymmetric": lambda out, scale, side, made: out / scale,
    "half_pixel": lambda out, scale, side, made: (out + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda out, scale, side, made: (
        (out + 0.5) / scale - 0.5 if made > 1 else np.zeros_like(out)
    ),
    "align_corners": lambda out, scale, side, made: out * (side - 1) / max(1, made - 1),
    "tf_half_pixel_for_nn": lambda out, scale, side, made: (out + 0.5) / scale,
}
"""Where in the pixels before a pixel afterwards lies; in float32, as runtimes count: ties are many."""

_ROUNDINGS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda places: np.ceil(places - 0.5),
    "round_prefer_ceil": lambda places: np.floor(places + 0.5),
}
