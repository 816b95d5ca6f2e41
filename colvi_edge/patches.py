"""Project, tile and normalise in plain NumPy: the oracle of every engine and kernel.

Written to be read and to be exact, not to be fast. The formulas, for planes
I[z, c, y, x] and patches of P pixels (P = 64 in the paper):

    projection     S[c, y, x]       = sum over z of I[z, c, y, x]                (paper 3.1)
    tiling         T[n, c, v, u]    = S[c, P r + v, P q + u],  n = r * cols + q
                   rows = H div P, cols = W div P; an incomplete last row/column is left out
    patch          N = (T[n] - m) / s,     m, s over all channels of patch n     (paper 3.2)
    patch-channel  N = (T[n, c] - m) / s,  m, s over channel c of patch n
    fixed          N = (T[n, c] - mean[c]) / std[c]
    scale          N = T / divisor
    image          N = (S - m) / s,        m, s over all channels of the whole image
    image-range    N = (S - low) / (high - low),  the extremes over the same

The last two are taken of the image before it is padded or cut, so that each part of it is normalised
alike ("Scaling min..max of the picture": deepImageJ's FRU-Net for vesicles, 2019).

m is the mean and s the population standard deviation, sqrt(sum((T - m)^2) / count), of raw
pixels. There is no epsilon: where max == min the result is exactly zero, in every dtype.
That test is made on the raw pixels because in float32 arithmetic a constant 3000.1 comes
out as +-1: its mean is off by one rounding, and so is everything else by the same amount.
Sums of integers are exact (64 bit); sums of floats are float64.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SMALLEST_PATCH_PX, LARGEST_PATCH_PX = 8, 1024
"""Edges of the patches that a bundle may have."""

MOST_CHANNELS = 8
"""Of a network's input."""

PIXEL_TYPES = ("uint8", "uint16", "float32")
"""Dtypes of the planes that are judged."""

NormalisationKind = Literal["patch", "patch-channel", "fixed", "scale", "image", "image-range"]

OF_PATCHES: tuple[NormalisationKind, ...] = ("patch", "patch-channel")
"""Kinds that look at each patch by itself: of no use to a network that gives a value a pixel."""

OF_IMAGES: tuple[NormalisationKind, ...] = ("image", "image-range")
"""Kinds that look at the whole image: two numbers each."""

_LARGEST = 1e12
"""Parameter of a normalisation, and its reciprocal: ten planes of 16 bits sum up to 655,350 counts."""


@dataclass(frozen=True)
class Normalisation:
    """How raw pixels become the network's input.

    Attributes:
        kind: one of the kinds of the module's formulas.
        mean, std: per channel, in counts of the projection; for "fixed" only.
        divisor: in counts of the projection; for "scale" only.
        dtype: dtype of the planes that "scale" was made for; another one is refused.
    """

    kind: NormalisationKind = "patch"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    divisor: float = 0.0
    dtype: str = ""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 # so it stands in manifests and checkpoints too

    def takes(self, dtype: np.dtype[Any]) -> bool:
        """Return whether planes of a dtype can be normalised so: "scale" is made for one alone."""
        return not self.dtype or np.dtype(self.dtype) == dtype

    def __post_init__(self) -> None:
        """Refuse parameters that are missing, too many, belong to another kind or divide by zero."""
        if len(self.mean) > MOST_CHANNELS:
            raise ValueError(
                f"normalisation mean: found {len(self.mean)} channels, expected at most {MOST_CHANNELS}"
            )
        if self.dtype not in ("", *PIXEL_TYPES):
            raise ValueError(
                f"normalisation dtype: found {self.dtype[:20]!r}, expected one of {', '.join(PIXEL_TYPES)}"
            )
        if (self.kind == "fixed") != bool(self.mean) or len(self.mean) != len(self.std):
            raise ValueError("normalisation 'fixed', and no other, takes a mean and a std per channel")
        if (self.kind == "scale") != bool(self.divisor) or (self.kind == "scale") != bool(self.dtype):
            raise ValueError("normalisation 'scale', and no other, takes a divisor and a dtype")
        if not np.isfinite((*self.mean, *self.std, self.divisor)).all() or min((*self.std, 1)) <= 0:
            raise ValueError("normalisation parameters must be finite and every std above 0")
        if self.divisor < 0:
            raise ValueError("the divisor of normalisation 'scale' must be above 0")
        for name, numbers, least in (
            ("mean", self.mean, 0.0),
            ("std", self.std, 1 / _LARGEST),
            ("divisor", (self.divisor or 1.0,), 1 / _LARGEST),
        ):
            for number in numbers:
                if not least <= abs(number) <= _LARGEST:
                    raise ValueError(
                        f"normalisation {name}: found {number:g}, expected {least:g} to {_LARGEST:g}"
                    )


def grid_shape(height_px: int, width_px: int, patch_px: int) -> tuple[int, int]:
    """Return (rows, cols) of whole patches in an image."""
    return height_px // patch_px, width_px // patch_px


def coverage(height_px: int, width_px: int, patch_px: int) -> float:
    """Return which share of the pixels lies in a patch, 0..1."""
    rows, cols = grid_shape(height_px, width_px, patch_px)
    return rows * cols * patch_px * patch_px / (height_px * width_px)


def project(planes: NDArray[Any]) -> NDArray[Any]:
    """Sum planes over Z ("integrated intensity").

    Args:
        planes: (Z, C, H, W) of any integer or float dtype.

    Returns:
        (C, H, W): int64 and exact for integers, float64 for floats.
    """
    wide = np.int64 if np.issubdtype(planes.dtype, np.integer) else np.float64
    summed: NDArray[Any] = planes.sum(axis=0, dtype=wide)
    return summed


def tile(projection: NDArray[Any], patch_px: int) -> NDArray[Any]:
    """Cut a (C, H, W) projection into (rows * cols, C, patch_px, patch_px), row-major."""
    channels, height, width = projection.shape
    rows, cols = grid_shape(height, width, patch_px)
    whole = projection[:, : rows * patch_px, : cols * patch_px]
    blocks = whole.reshape(channels, rows, patch_px, cols, patch_px)
    return blocks.transpose(1, 3, 0, 2, 4).reshape(rows * cols, channels, patch_px, patch_px)


def paste(patches: NDArray[Any], rows: int, cols: int) -> NDArray[Any]:
    """Put (rows * cols, C, P, P) patches back together as (C, rows * P, cols * P)."""
    _, channels, patch_px, _ = patches.shape
    blocks = patches.reshape(rows, cols, channels, patch_px, patch_px)
    return blocks.transpose(2, 0, 3, 1, 4).reshape(channels, rows * patch_px, cols * patch_px)


def normalise(patches: NDArray[Any], normalisation: Normalisation) -> NDArray[np.float32]:
    """Normalise raw (N, C, P, P) patches; the result is float32, rounded once at the end.

    Args:
        patches: int64 or float64, as `tile(project(planes))` gives them.
        normalisation: kind and parameters; "fixed" needs one mean and std per channel.

    Raises:
        ValueError: the kind looks at the whole image, which patches are not.
    """
    if normalisation.kind in OF_IMAGES:
        raise ValueError(f"normalisation '{normalisation.kind}' is of whole images, not of patches")
    if normalisation.kind in OF_PATCHES:
        axes = (1, 2, 3) if normalisation.kind == "patch" else (2, 3)
        return _standardise(patches, axes)
    if normalisation.kind == "fixed":
        if len(normalisation.mean) != patches.shape[1]:
            raise ValueError(
                f"normalisation 'fixed' has {len(normalisation.mean)} means for {patches.shape[1]} channels"
            )
        mean = np.array(normalisation.mean).reshape(1, -1, 1, 1)
        std = np.array(normalisation.std).reshape(1, -1, 1, 1)
        return ((patches - mean) / std).astype(np.float32)
    return (patches / normalisation.divisor).astype(np.float32)


def normalise_image(projection: NDArray[Any], normalisation: Normalisation) -> NDArray[np.float32]:
    """Normalise a whole projection (C, H, W); the result is float32, rounded once at the end.

    Args:
        projection: int64 or float64, as `project` gives it.
        normalisation: any kind but those of patches.

    Raises:
        ValueError: the kind looks at patches.
    """
    if normalisation.kind in OF_PATCHES:
        raise ValueError(f"normalisation '{normalisation.kind}' is of patches, not of whole images")
    if normalisation.kind == "image":
        return _standardise(projection[np.newaxis], (1, 2, 3))[0]
    if normalisation.kind == "image-range":
        low, high = projection.min(), projection.max()
        return ((projection - low) / (high - low if high > low else 1)).astype(np.float32)
    return normalise(projection[np.newaxis], normalisation)[0]


def network_input(planes: NDArray[Any], patch_px: int, normalisation: Normalisation) -> NDArray[np.float32]:
    """Project, tile and normalise (Z, C, H, W) planes into (rows * cols, C, P, P) float32."""
    if not normalisation.takes(planes.dtype):
        raise ValueError(
            f"normalisation 'scale' was made for {normalisation.dtype} planes, these are {planes.dtype}"
        )
    projection = project(planes)
    if normalisation.kind in OF_IMAGES:
        return tile(normalise_image(projection, normalisation), patch_px)
    return normalise(tile(projection, patch_px), normalisation)


def _standardise(patches: NDArray[Any], axes: tuple[int, ...]) -> NDArray[np.float32]:
    # Two passes, never E[x^2] - E[x]^2: at 16 bit and ten planes that difference cancels
    # seven digits. The sums of integers are exact before the one division.
    mean = patches.sum(axis=axes, keepdims=True) / np.prod([patches.shape[a] for a in axes])
    centred = patches - mean
    sd = np.sqrt(np.mean(np.square(centred), axis=axes, keepdims=True))
    constant = patches.max(axis=axes, keepdims=True) == patches.min(axis=axes, keepdims=True)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, sd)).astype(np.float32)
