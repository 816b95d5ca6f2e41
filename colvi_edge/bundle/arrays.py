"""The arrays of a bundle: checked before anything is done with them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle.expected import Familiarity
from colvi_edge.bundle.manifest import Config
from colvi_edge.bundle.npy import ArrayError, read_npy
from colvi_edge.patches import PIXEL_TYPES
from colvi_edge.windows import MOST_WHOLE_PX

STRUCTURE = 10
"""Numbers that describe the collagen of a training image; see `quality.familiarity`."""

_MOST_PATCHES = 4096
_MOST_REGION_PX = 2 * MOST_WHOLE_PX
"""A region is a raster step wider than the largest window, so that windows join in it."""

_LARGEST_PIXEL = 1e12


class VerificationSet(NamedTuple):
    """Patches with known answers, to try engines with.

    Attributes:
        patches: (N, C, P, P) raw counts.
        probabilities: (N, K) float32 that the FP32 network in torch gave for them.
    """

    patches: NDArray[Any]
    probabilities: NDArray[np.float32]


class KnownRegion(NamedTuple):
    """A region with a known answer, to try engines of other networks than those of patches with.

    Attributes:
        planes: (Z, C, H, W) raw counts.
        field: (rows, cols, K) float32 that the FP32 network in torch gave for them.
    """

    planes: NDArray[Any]
    field: NDArray[np.float32]


def patches(data: bytes, config: Config) -> NDArray[Any]:
    """Return the raw patches that engines are tried with, (N, C, P, P).

    Raises:
        ArrayError: the file is none of these.
    """
    patches = _raw(data, config, (config.patch_px, config.patch_px))
    if len(patches) > _MOST_PATCHES:
        raise ArrayError(f"holds {len(patches)} patches, expected at most {_MOST_PATCHES}")
    return patches


def region(data: bytes, config: Config) -> NDArray[Any]:
    """Return the raw region that engines are tried with, (Z, C, H, W).

    Raises:
        ArrayError: the file is none of these.
    """
    found = _raw(data, config, (None, None))
    planes, _, height, width = found.shape
    if planes * height * width > _MOST_REGION_PX:
        raise ArrayError(
            f"holds {planes} planes of {width} x {height} pixels, {_MOST_REGION_PX} at most may be"
        )
    return found


def _raw(data: bytes, config: Config, edges: tuple[int | None, int | None]) -> NDArray[Any]:
    made_for = config.normalisation.dtype
    shape = (None, len(config.channels), *edges)
    raw = read_npy(data, (made_for,) if made_for else PIXEL_TYPES, shape)
    if raw.max() > _LARGEST_PIXEL or raw.min() < -_LARGEST_PIXEL:
        raise ArrayError(f"holds pixels from {raw.min():g} to {raw.max():g}")
    return raw


def probabilities(data: bytes, config: Config) -> NDArray[np.float32]:
    """Return what the network in torch gave for the patches, (N, K).

    Raises:
        ArrayError: the file is none of these.
    """
    return _numbers(data, (None, len(config.task.classes)))


def field(data: bytes, config: Config) -> NDArray[np.float32]:
    """Return what the network in torch gave for the region, (rows, cols, K).

    Raises:
        ArrayError: the file is none of these.
    """
    return _numbers(data, (None, None, len(config.task.classes)), ("float32", "float16"))


def _numbers(
    data: bytes, shape: tuple[int | None, ...], dtypes: tuple[str, ...] = ("float32",)
) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = read_npy(data, dtypes, shape).astype(np.float32, copy=False)
    if numbers.min() < 0 or numbers.max() > 1:
        raise ArrayError("holds numbers that are no probabilities")
    return numbers


def references(data: bytes, familiarity: Familiarity) -> NDArray[np.float32]:
    """Return what the collagen of the training images was like, (M, STRUCTURE).

    Raises:
        ArrayError: the file is none of these.
    """
    references: NDArray[np.float32] = read_npy(data, ("float32",), (None, STRUCTURE))
    if len(references) < familiarity.images:
        raise ArrayError(f"holds {len(references)} images, expected at least {familiarity.images}")
    return references
