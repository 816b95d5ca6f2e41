"""How operators that only move numbers change a shape; what they make of a shape itself is computed."""

import math

import numpy as np

from colvi_edge.onnx.arrays import (
    MOST_OF_AN_ATTRIBUTE,
    Array,
    Given,
    UnfitError,
    axes_of,
    axis_of,
    broadcast,
    check,
    copied,
    known,
    need,
    numbers,
    optional,
    with_values,
)
from colvi_edge.onnx.reading import DTYPES, MOST_VALUES, Node, Tensor


def where(node: Node, given: Given) -> list[Array]:
    """Where."""
    where, one, other = (need(given, number) for number in range(3))
    check(where.dtype.kind == "b" and one.dtype == other.dtype)
    made = Array(broadcast(where.shape, one.shape, other.shape), one.dtype)
    parts = (where, one, other)
    return [with_values(made, lambda: np.where(*(np.asarray(part.values) for part in parts)), *parts)]


def cast(node: Node, given: Given) -> list[Array]:
    """Cast."""
    array = need(given, 0)
    to = DTYPES.get(node.int("to", 0))
    if to is None:
        raise UnfitError("gives numbers of a type that is not read here")
    return [with_values(Array(array.shape, to), lambda: np.asarray(array.values), array)]


def flatten(node: Node, given: Given) -> list[Array]:
    """Flatten: to a matrix."""
    array, axis = need(given, 0), node.int("axis", 1)
    axis = len(array.shape) if axis == len(array.shape) else axis_of(axis, len(array.shape))
    shape = (math.prod(array.shape[:axis]), math.prod(array.shape[axis:]))
    return copied(array, shape)


def reshape(node: Node, given: Given) -> list[Array]:
    """Reshape: 0 keeps a length, -1 is what remains; with allowzero 0 would be a length, which none has."""
    array, wanted = need(given, 0), numbers(given, 1)
    check(not (node.int("allowzero", 0) and 0 in wanted) and wanted.count(-1) <= 1 and len(wanted) <= 8)
    sides = [array.shape[place] if side == 0 else side for place, side in enumerate(wanted)]
    whole, rest = math.prod(array.shape), math.prod(side for side in sides if side != -1)
    shape = tuple(whole // rest if side == -1 else side for side in sides)
    check(math.prod(shape) == whole)
    return copied(array, shape)


def transpose(node: Node, given: Given) -> list[Array]:
    """Transpose."""
    array, rank = need(given, 0), len(need(given, 0).shape)
    order = node.ints("perm", range(rank)[::-1])
    check(sorted(order) == list(range(rank)))
    made = Array(tuple(array.shape[axis] for axis in order), array.dtype)
    return [with_values(made, lambda: np.transpose(np.asarray(array.values), order), array)]


def concat(node: Node, given: Given) -> list[Array]:
    """Concat."""
    arrays = [need(given, number) for number in range(len(given))]
    first, rank = arrays[0], len(arrays[0].shape)
    axis = axis_of(node.int("axis", rank), rank)
    rests = {(*array.shape[:axis], *array.shape[axis + 1 :]) for array in arrays}
    check(len(rests) == 1 and all(len(array.shape) == rank for array in arrays))
    check(len({array.dtype for array in arrays}) == 1)
    length = sum(array.shape[axis] for array in arrays)
    made = Array((*first.shape[:axis], length, *first.shape[axis + 1 :]), first.dtype)
    return [with_values(made, lambda: np.concatenate([np.asarray(a.values) for a in arrays], axis), *arrays)]


def split(node: Node, given: Given) -> list[Array]:
    """Split: into as many parts as there are outputs."""
    array = need(given, 0)
    axis, parts = axis_of(node.int("axis", 0), len(array.shape)), len(node.outputs)
    side = array.shape[axis]
    lengths = numbers(given, 1) if optional(given, 1) is not None else [side // parts] * parts
    check(len(lengths) == parts and sum(lengths) == side and min(lengths) >= 1)
    return [Array((*array.shape[:axis], length, *array.shape[axis + 1 :]), array.dtype) for length in lengths]


def slice_(node: Node, given: Given) -> list[Array]:
    """Slice."""
    array = need(given, 0)
    starts, ends = numbers(given, 1), numbers(given, 2)
    axes = numbers(given, 3) if optional(given, 3) is not None else list(range(len(starts)))
    steps = numbers(given, 4) if optional(given, 4) is not None else [1] * len(starts)
    cuts = [slice(None)] * len(array.shape)
    for axis, start, end, step in zip(axes_of(axes, len(cuts)), starts, ends, steps, strict=True):
        cuts[axis] = slice(start, end, step)
    shape = tuple(len(range(side)[cut]) for side, cut in zip(array.shape, cuts, strict=True))
    return [with_values(Array(shape, array.dtype), lambda: np.asarray(array.values)[tuple(cuts)], array)]


def squeeze(node: Node, given: Given) -> list[Array]:
    """Squeeze."""
    array = need(given, 0)
    rank = len(array.shape)
    ones = [axis for axis, side in enumerate(array.shape) if side == 1]
    axes = axes_of(numbers(given, 1), rank) if optional(given, 1) is not None else ones
    check(set(axes) <= set(ones))
    shape = tuple(side for axis, side in enumerate(array.shape) if axis not in axes)
    return copied(array, shape)


def unsqueeze(node: Node, given: Given) -> list[Array]:
    """Unsqueeze."""
    array, new = need(given, 0), numbers(given, 1)
    rank = len(array.shape) + len(new)
    axes, sides = axes_of(new, rank), iter(array.shape)
    shape = tuple(1 if axis in axes else next(sides) for axis in range(rank))
    return copied(array, shape)


def gather(node: Node, given: Given) -> list[Array]:
    """Gather: at places that are known and there."""
    array, places = need(given, 0), known(given, 1)
    axis = axis_of(node.int("axis", 0), len(array.shape))
    side = array.shape[axis]
    check(places.dtype.kind == "i" and bool(np.all((places >= -side) & (places < side))))
    made = Array((*array.shape[:axis], *places.shape, *array.shape[axis + 1 :]), array.dtype)
    return [with_values(made, lambda: np.take(np.asarray(array.values), places, axis), array)]


def shape(node: Node, given: Given) -> list[Array]:
    """Shape."""
    shape = need(given, 0).shape
    found = np.array(shape[slice(node.int("start", 0), node.int("end", len(shape)))], np.int64)
    return [Array(found.shape, found.dtype, found)]


def expand(node: Node, given: Given) -> list[Array]:
    """Expand."""
    array = need(given, 0)
    made = Array(broadcast(array.shape, tuple(numbers(given, 1))), array.dtype)
    return [with_values(made, lambda: np.broadcast_to(np.asarray(array.values), made.shape), array)]


def constant(node: Node, given: Given) -> list[Array]:
    """Constant: a tensor, a number or some."""
    ((name, value),) = node.attributes.items()
    if name == "value" and isinstance(value, Tensor):
        return [Array.of(value)]
    check(name in ("value_int", "value_ints", "value_float", "value_floats"))
    found = np.array(value, np.int64 if "int" in name else np.float32)
    check(found.size <= MOST_VALUES)
    return [Array(found.shape, found.dtype, found)]


def filled(node: Node, given: Given) -> list[Array]:
    """ConstantOfShape."""
    value = node.attributes.get("value")
    shape = tuple(numbers(given, 0))
    check(value is None or (isinstance(value, Tensor) and math.prod(value.dims) == 1))
    dtype = value.dtype if isinstance(value, Tensor) else np.dtype("float32")
    of = value.values() if isinstance(value, Tensor) else np.zeros(1, dtype)
    return [with_values(Array(shape, dtype), lambda: np.full(shape, np.ravel(np.asarray(of))[0]))]


def depth_to_space(node: Node, given: Given) -> list[Array]:
    """DepthToSpace."""
    array, block = need(given, 0), node.int("blocksize", 0)
    images, channels, height, width = array.shape
    check(1 <= block <= MOST_OF_AN_ATTRIBUTE and channels % block**2 == 0)
    return [Array((images, channels // block**2, height * block, width * block), array.dtype)]


def space_to_depth(node: Node, given: Given) -> list[Array]:
    """SpaceToDepth."""
    array, block = need(given, 0), node.int("blocksize", 0)
    images, channels, height, width = array.shape
    check(block >= 1 and height % block == width % block == 0)
    return [Array((images, channels * block**2, height // block, width // block), array.dtype)]
