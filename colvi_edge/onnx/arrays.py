"""Tensors of a network before they are computed: shapes, and the few numbers that shapes are made of."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colvi_edge.onnx.reading import MOST_VALUES, Tensor

MOST_OF_AN_ATTRIBUTE = 2**16
"""Largest pad, stride, kernel, scale: some thousand times what a network has, and far from 32 bits."""

Shape = tuple[int, ...]


class UnfitError(ValueError):
    """An operator cannot do what it is asked with what it is given; says what."""


@dataclass(frozen=True)
class Array:
    """What is known of a tensor before it is computed.

    Attributes:
        shape: its lengths.
        dtype: of its numbers.
        values: its numbers, where they are few and do not depend on the pixels; else None.
        work: multiplications for one of its numbers.
    """

    shape: Shape
    dtype: "np.dtype[Any]"
    values: NDArray[Any] | None = None
    work: int = 1

    @classmethod
    def of(cls, tensor: Tensor) -> "Array":
        """Return what is known of numbers that lie in the file."""
        return cls(tensor.dims, tensor.dtype, tensor.values())


Given = Sequence[Array | None]
"""Inputs of a node; one that is left out is None."""


def optional(given: Given, number: int) -> Array | None:
    """Return an input, None if it is left out."""
    return given[number] if number < len(given) else None


def need(given: Given, number: int) -> Array:
    """Return an input that must be there."""
    array = optional(given, number)
    if array is None:
        raise UnfitError("lacks an input")
    return array


def known(given: Given, number: int) -> NDArray[Any]:
    """Return the numbers of an input on which a shape depends."""
    values = need(given, number).values
    if values is None:
        raise UnfitError("is asked for a shape that depends on the pixels")
    return values


def numbers(given: Given, number: int) -> list[int]:
    """Return an input that is a short list of whole numbers."""
    values = known(given, number)
    check(values.dtype.kind == "i" and values.ndim <= 1)
    return [int(value) for value in values.ravel()]


def check(fits: bool) -> None:
    """Raise UnfitError where something does not fit."""
    if not fits:
        raise UnfitError("does not fit what it is given")


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from 0; ONNX counts those below 0 from the end."""
    check(-rank <= axis < rank)
    return axis % rank


def axes_of(axes: Sequence[int], rank: int) -> list[int]:
    """Return several axes counted from 0, none twice."""
    counted = [axis_of(axis, rank) for axis in axes]
    check(len(set(counted)) == len(counted))
    return counted


def broadcast(*shapes: Shape) -> Shape:
    """Return the shape of arrays together, by NumPy's rule."""
    columns = list(zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1))
    check(all(len({length for length in column if length != 1}) <= 1 for column in columns))
    return tuple(next((length for length in column if length != 1), 1) for column in columns[::-1])


def with_values(array: Array, compute: Callable[[], NDArray[Any]], *of: Array | None) -> Array:
    """Return the array with its numbers, where those that they are made of are known."""
    if math.prod(array.shape) > MOST_VALUES or any(one is not None and one.values is None for one in of):
        return array
    with np.errstate(all="ignore"):
        values = np.asarray(compute()).astype(array.dtype, copy=False)
    return replace(array, values=values.reshape(array.shape))


def copied(array: Array, shape: Shape) -> list[Array]:
    """Return an array whose numbers lie in another shape."""
    return [with_values(Array(shape, array.dtype), lambda: np.asarray(array.values), array)]
