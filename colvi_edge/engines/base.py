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

    def field(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """Return (rows, cols, 2) float32: each patch's p_control and p_patient, 0..1.

        Args:
            planes: (Z, C, H, W) uint8, uint16 or float32 in the bundle's channel layout. They
                are projected, tiled and normalised here; `patches` is the oracle. The caller
                keeps them, and owns what is returned.

        Raises:
            ImageTooSmallError: not one whole patch fits.
            PixelTypeError: the bundle takes another dtype.
            EngineLostError: the device went away; no later call succeeds.
            ValueError: another number of channels or axes than the bundle takes.
        """
        ...

    def network(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (N, 2) float32 of the network alone, on the same runtime and with the same settings.

        What `bench` compares `field` with, to tell the network's share of its time.

        Args:
            patches: (N, C, P, P) float32, normalised, in the bundle's channel layout.
        """
        ...

    def close(self) -> None:
        """Free what the runtime holds; the engine is not used afterwards."""
        ...


def blank_planes(config: Config, patches: int = USUAL_PATCHES) -> NDArray[Any]:
    """Return black planes (1, C, H, W) of the dtype that a bundle takes, to warm an engine up with.

    Args:
        config: of the bundle.
        patches: how many rows and columns of patches they hold.
    """
    side = patches * config.patch_px
    return np.zeros((1, len(config.channels), side, side), np.dtype(config.normalisation.dtype or np.uint16))


def check_planes(planes: NDArray[Any], bundle: Bundle) -> tuple[int, int]:
    """Return (rows, cols) of the patches in planes that fit the bundle; raise if they do not."""
    config = bundle.config
    if planes.ndim != 4 or planes.shape[1] != len(config.channels) or not planes.shape[0]:
        raise ValueError(f"expected planes (Z, {len(config.channels)}, H, W), got {planes.shape}")
    if not config.normalisation.takes(planes.dtype):
        raise PixelTypeError(
            f"found {planes.dtype} pixels, and the network was made for {config.normalisation.dtype}; export "
            "the image as those were that it was trained on"
        )
    rows, cols = grid_shape(planes.shape[2], planes.shape[3], config.patch_px)
    if not rows * cols:
        raise ImageTooSmallError(
            f"found {planes.shape[3]} x {planes.shape[2]} pixels, expected at least one patch of "
            f"{config.patch_px} x {config.patch_px}; give the uncropped projection"
        )
    return rows, cols
