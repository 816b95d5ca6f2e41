"""The interface of every engine, and the planes that it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Config, Precision
from colvi_edge.errors import ImageTooSmallError, PixelTypeError
from colvi_edge.patches import grid_shape

Progress = Callable[[str, float], None]
"""Takes what is being done, in words, and how much of all is done, 0..1."""

Keep = Callable[[NDArray[np.float32]], NDArray[Any]]
"""What stays of a part of the field, (h, w, K) float32 -> (h, w, ...) of any dtype: a function of each cell
alone, so that it does not matter how the field is cut into parts. It returns a new array or a view."""


def everything(part: NDArray[np.float32]) -> NDArray[Any]:
    """Keep all of a part, as it is."""
    return part


USUAL_PX = 1024
"""Edge of an image of the assay."""

USUAL_PATCHES = 16
"""Rows and columns of patches of 64 pixels in an image of the assay, 1024 x 1024."""


class PassedOver(NamedTuple):
    """An engine that would have come first and could not be had.

    Attributes:
        runtime: such as "tensorrt".
        why: in a sentence, with the remedy.
    """

    runtime: str
    why: str


@dataclass(frozen=True)
class EngineInfo:
    """What runs the network: goes into every sidecar, but for `passed_over`.

    Attributes:
        runtime, version: such as "openvino", "2026.4.1".
        precision: a precision of the bundle.
        device: the processor, in the runtime's words.
        reason: why this engine and precision were taken, and how it runs.
        passed_over: what was tried before it, in that order; none where an engine was named.
    """

    runtime: str
    version: str
    precision: Precision
    device: str
    reason: str
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def label(self) -> str:
        """Runtime and version, as people are told of it."""
        return f"{self.runtime} {self.version}"


class Engine(Protocol):
    """A bundle on one runtime and device. Not thread-safe: give each thread its own."""

    @property
    def info(self) -> EngineInfo:
        """What runs the network, and how it ran the last image."""
        ...

    def field(self, planes: NDArray[Any], keep: Keep = everything) -> NDArray[Any]:
        """Return (rows, cols, K) float32, or what `keep` leaves of it: each cell's K numbers, 0..1.

        A cell is a patch, a pixel where the network is a dense one, or the whole image.

        Args:
            planes: (Z, C, H, W) uint8, uint16 or float32 in the bundle's channel layout; of the
                size that a whole image is brought to, where the bundle names one. They are
                projected, cut and normalised here; `patches` is the oracle. The caller
                keeps them, and owns what is returned.
            keep: what stays of each part of the field, asked while the next part is computed.

        Raises:
            ImageTooLargeError: the network takes images as a whole, and not one so large.
            ImageTooSmallError: not one whole patch fits.
            PixelTypeError: the bundle takes another dtype.
            EngineLostError: the device went away; no later call succeeds.
            ValueError: another number of channels or axes than the bundle takes.
        """
        ...

    def network(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, K) float32 of the network alone, on the same runtime and with the same settings.

        Of a dense network (N, K, h, w). What `bench` compares `field` with, to tell the network's share of
        its time.

        Args:
            windows: patches or windows, (N, C, h, w) float32, normalised, in the bundle's channel layout.
        """
        ...

    def close(self) -> None:
        """Free what the runtime holds; the engine is not used afterwards."""
        ...


def blank_planes(config: Config, patches: int = USUAL_PATCHES) -> NDArray[Any]:
    """Return black planes (1, C, H, W) of the dtype that a bundle takes, to warm an engine up with.

    Args:
        config: of the bundle.
        patches: how many rows and columns of patches they hold, where the network sees patches; else they
            hold one window, or the usual image where that is the window.
    """
    if config.has_patches:
        height = width = patches * config.patch_px
    elif config.windows.px == "whole":
        height, width = config.input.resize_px or (USUAL_PX, USUAL_PX)
    else:
        height = width = config.windows.px
    shape = (1, len(config.channels), height, width)
    return np.zeros(shape, np.dtype(config.normalisation.dtype or np.uint16))


def check_planes(planes: NDArray[Any], bundle: Bundle) -> tuple[int, int]:
    """Return (rows, cols) of the field of planes that fit the bundle; raise if they do not."""
    config = bundle.config
    if planes.ndim != 4 or planes.shape[1] != len(config.channels) or not planes.shape[0]:
        raise ValueError(f"expected planes (Z, {len(config.channels)}, H, W), got {planes.shape}")
    if not config.normalisation.takes(planes.dtype):
        raise PixelTypeError(
            f"found {planes.dtype} pixels, and the network was made for {config.normalisation.dtype}; export "
            "the image as those were that it was trained on"
        )
    height, width = planes.shape[2:]
    if not config.has_patches:
        size = config.input.resize_px or (height, width)
        if (height, width) != size or not height * width:
            raise ValueError(f"expected planes (Z, C, {size[0]}, {size[1]}), got {planes.shape}")
        return (height, width) if config.is_dense else (1, 1)
    rows, cols = grid_shape(height, width, config.patch_px)
    if not rows * cols:
        raise ImageTooSmallError(
            f"found {width} x {height} pixels, expected at least one patch of "
            f"{config.patch_px} x {config.patch_px}; give the uncropped projection"
        )
    return rows, cols
