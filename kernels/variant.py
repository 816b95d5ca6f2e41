"""What a compiled kernel was specialised for, and what it is launched with.

The Python half of the contract in the header of `project_tile_normalise.cu`: names of the entry points,
macros, launch shape, the argument that says how the pixels lie, and the limits of them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from colvi_edge.patches import Normalisation, NormalisationKind, grid_shape

OutputType = Literal["f32", "f16", "i8"]

NAME = "project_tile_normalise"
"""What the source is called, and what the name of each entry point begins with."""

MAX_CHANNELS = 8
MAX_PLANES = 1024
"""Keeps the sum of 64 projected uint16 values, what a thread adds up, below 2**32."""
THREADS = 256
"""Of one block."""

_INPUTS = {"uint8": "u8", "uint16": "u16", "float32": "f32"}
KINDS: dict[NormalisationKind, int] = {"patch": 0, "patch-channel": 1, "fixed": 2, "scale": 3}
"""Normalisations of patches, and their numbers in the source; a whole image is normalised on the host."""

ARGUMENTS = np.dtype(
    [
        # All strides in values, not bytes. A column stride of 1 is planar, another one interleaved.
        ("image_stride", np.uint64),
        ("plane_stride", np.uint64),
        ("channel_stride", np.uint64),
        ("offset", np.float64, MAX_CHANNELS),  # fixed and scale: (T - offset) * scale
        ("row_stride", np.uint32),
        ("column_stride", np.uint32),
        ("planes", np.uint32),
        ("rows", np.uint32),
        ("cols", np.uint32),
        ("source", np.int32, MAX_CHANNELS),  # raw channel of each of the network's; -1 where it is empty
        ("whole", np.int32, MAX_CHANNELS),  # the offset again, in two parts that float32 can hold
        ("part", np.float32, MAX_CHANNELS),
        ("scale", np.float32, MAX_CHANNELS),
        ("inverse_step", np.float32),  # of int8
    ]
)
"""`struct Arguments` of the source, byte for byte."""


@dataclass(frozen=True)
class Variant:
    """What the kernel is compiled for: fixed by the bundle.

    Attributes:
        patch_px: side of a patch, 8 to 1024.
        channels: of the network's input, empty ones included; 1 to 8.
        kind: of the normalisation.
        outputs: types that entry points are made for, each with every type of input.
        channels_last: NHWC instead of NCHW.

    Raises:
        ValueError: a value beyond these limits.
    """

    patch_px: int
    channels: int
    kind: NormalisationKind
    outputs: tuple[OutputType, ...]
    channels_last: bool = False

    def __post_init__(self) -> None:
        """Refuse what the kernel was not written for."""
        if not 8 <= self.patch_px <= 1024:
            raise ValueError(f"found patches of {self.patch_px} pixels, the kernel takes 8 to 1024")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"found {self.channels} channels, the kernel takes 1 to {MAX_CHANNELS}")
        if self.kind not in KINDS:
            raise ValueError(f"found normalisation {self.kind!r}, the kernel takes {', '.join(KINDS)}")
        if not self.outputs:
            raise ValueError("found no output, expected at least one of f32, f16, i8")

    def macros(self) -> tuple[str, ...]:
        """Return the definitions that the source is compiled with, as NAME=VALUE."""
        return (
            f"COLVI_PATCH_PX={self.patch_px}",
            f"COLVI_CHANNELS={self.channels}",
            f"COLVI_KIND={KINDS[self.kind]}",
            f"COLVI_CHANNELS_LAST={int(self.channels_last)}",
            *(f"COLVI_TO_{output.upper()}=1" for output in self.outputs),
        )


def entry_name(source: np.dtype[Any], output: OutputType) -> str:
    """Return the entry point for planes of a dtype, such as "project_tile_normalise_u16_f16".

    Raises:
        ValueError: planes of this dtype are not read.
    """
    if not source.isnative or source.name not in _INPUTS:
        raise ValueError(f"found planes of {source}, expected {', '.join(_INPUTS)} in native byte order")
    return f"{NAME}_{_INPUTS[source.name]}_{output}"


def grid(images: int, rows: int, cols: int, variant: Variant) -> tuple[int, int, int]:
    """Return the blocks of a launch: patches, groups of channels that a block owns, images.

    Raises:
        ValueError: more than a launch can have, or none at all.
    """
    if not 1 <= images < 2**16 or not 1 <= rows * cols < 2**31:
        raise ValueError(
            f"found {images} images of {rows} x {cols} patches; a launch takes 1 to 65,535 of 1 to 2**31 - 1"
        )
    whole = variant.kind == "patch" or variant.channels_last
    return rows * cols, 1 if whole else variant.channels, images


def arguments(
    planes: NDArray[Any],
    source: Sequence[int],
    patch_px: int,
    normalisation: Normalisation,
    step: float = 1.0,
) -> NDArray[Any]:
    """Return the launch argument for planes that lie on the device exactly as they do here.

    Args:
        planes: (images, Z, C, H, W), of any non-negative strides along a whole number of values.
        source: raw channel of each of the network's channels, -1 where that is empty.
        patch_px: side of a patch.
        normalisation: its kind is the variant's.
        step: of int8 outputs, above 0.

    Returns:
        0-d array of `ARGUMENTS`, passed to the kernel by value.

    Raises:
        ValueError: beyond the kernel's limits, or `scale` was made for another dtype.
    """
    _check(planes, source, normalisation, step)
    image, plane, channel, row, column = _strides(planes, patch_px)
    filled = np.zeros((), ARGUMENTS)
    filled["image_stride"], filled["plane_stride"], filled["channel_stride"] = image, plane, channel
    filled["row_stride"], filled["column_stride"] = row, column
    filled["planes"] = planes.shape[1]
    filled["rows"], filled["cols"] = grid_shape(planes.shape[3], planes.shape[4], patch_px)
    filled["source"] = -1
    filled["source"][: len(source)] = source
    if normalisation.kind == "fixed":
        filled["offset"][: len(source)] = normalisation.mean
        filled["scale"][: len(source)] = np.reciprocal(normalisation.std)
    elif normalisation.kind == "scale":
        filled["scale"] = 1 / normalisation.divisor
    # T - whole is exact for integers, and what is left next to it loses no digit that counts.
    filled["whole"] = np.clip(np.rint(filled["offset"]), 0, 2**31 - 1)
    filled["part"] = filled["offset"] - filled["whole"]
    filled["inverse_step"] = 1 / step
    return filled


def _check(planes: NDArray[Any], source: Sequence[int], normalisation: Normalisation, step: float) -> None:
    _, depth, channels, _, _ = planes.shape
    if not 1 <= depth <= MAX_PLANES:
        raise ValueError(f"found {depth} planes, the kernel sums 1 to {MAX_PLANES:,}; project them before")
    if not 1 <= len(source) <= MAX_CHANNELS or not all(-1 <= raw < channels for raw in source):
        raise ValueError(f"found sources {[*source]}, expected 1 to {MAX_CHANNELS} of -1 to {channels - 1}")
    if not 0 < step < np.inf:
        raise ValueError(f"found a step of {step}, expected one above 0")
    kind, means = normalisation.kind, len(normalisation.mean)
    if not normalisation.takes(planes.dtype):
        raise ValueError(
            f"normalisation 'scale' was made for {normalisation.dtype} planes, these are {planes.dtype}"
        )
    if kind == "fixed" and means != len(source):
        raise ValueError(f"normalisation 'fixed' has {means} means for {len(source)} channels")


def _strides(planes: NDArray[Any], patch_px: int) -> tuple[int, ...]:
    """Return the strides of planes in values; 0 along axes of length 1, where NumPy's mean nothing."""
    size = planes.itemsize
    pairs = list(zip(planes.shape, planes.strides, strict=True))
    strides = tuple(stride if length > 1 else 0 for length, stride in pairs)
    if min(strides) < 0 or any(stride % size for stride in strides):
        raise ValueError(
            f"found strides of {planes.strides} bytes, expected whole values of {size}, none negative"
        )
    *_, row, column = strides
    if (row + column) // size * patch_px >= 2**32:
        raise ValueError(f"found rows {row:,} bytes apart; a patch may span 2**32 values")
    return tuple(stride // size for stride in strides)
