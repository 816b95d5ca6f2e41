"""What every engine does, and the one place that chooses and opens one."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import EngineUnavailableError, ImageTooSmallError, UsageError
from colvi_edge.patches import grid_shape


@dataclass(frozen=True)
class EngineInfo:
    """What runs the network: goes into every sidecar.

    Attributes:
        runtime, version: such as "openvino", "2026.4.1".
        precision: a precision of the bundle.
        device: the processor, in the runtime's words.
        reason: why this engine and precision were taken.
    """

    runtime: str
    version: str
    precision: Precision
    device: str
    reason: str


class Engine(Protocol):
    """A bundle on one runtime and device. Not thread-safe: give each thread its own."""

    info: EngineInfo

    def probabilities(self, planes: NDArray[Any]) -> NDArray[np.float32]:
        """Return (rows, cols, 2) float32: each patch's p_control and p_patient, 0..1.

        Args:
            planes: (Z, C, H, W) uint8, uint16 or float32 in the bundle's channel layout. They
                are projected, tiled and normalised here; `patches` is the oracle. The caller
                keeps them, and owns what is returned.

        Raises:
            ImageTooSmallError: not one whole patch fits.
            ValueError: another number of channels or axes than the bundle has.
        """
        ...

    def close(self) -> None:
        """Free what the runtime holds; the engine is not used afterwards."""
        ...


def open_engine(
    bundle: Bundle,
    engine: EngineName | str = EngineName.AUTO,
    precision: PrecisionChoice | str = PrecisionChoice.AUTO,
) -> Engine:
    """Open a bundle on a runtime.

    "auto" takes OpenVINO where it is installed, else ONNX Runtime, and says so in
    `info.reason`. An engine that is named is taken or is an error, never replaced.

    Raises:
        EngineUnavailableError: the runtime is not installed.
        UsageError: the bundle does not hold the precision.
    """
    name, asked = EngineName(engine), PrecisionChoice(precision)
    taken = _precision_for(bundle, asked)
    why_precision = (
        f"{taken} was asked for"
        if asked is not PrecisionChoice.AUTO
        else f"{taken} is the bundle's reference"
    )
    if name is not EngineName.AUTO:
        return _open(name, bundle, taken, f"{name.value} was asked for; {why_precision}")
    try:
        return _open(EngineName.OPENVINO, bundle, taken, f"OpenVINO is the CPU default; {why_precision}")
    except EngineUnavailableError:
        return _open(EngineName.ONNXRUNTIME, bundle, taken, f"OpenVINO is not installed; {why_precision}")


def check_planes(planes: NDArray[Any], bundle: Bundle) -> tuple[int, int]:
    """Return (rows, cols) of the patches in planes that fit the bundle; raise if they do not."""
    channels, patch_px = len(bundle.config.channels), bundle.config.patch_px
    if planes.ndim != 4 or planes.shape[1] != channels or not planes.shape[0]:
        raise ValueError(f"expected planes (Z, {channels}, H, W), got {planes.shape}")
    rows, cols = grid_shape(planes.shape[2], planes.shape[3], patch_px)
    if not rows * cols:
        raise ImageTooSmallError(
            f"found {planes.shape[3]} x {planes.shape[2]} pixels, expected at least one patch of "
            f"{patch_px} x {patch_px}; give the uncropped projection"
        )
    return rows, cols


def _precision_for(bundle: Bundle, asked: PrecisionChoice) -> Precision:
    wanted: Precision
    if asked is PrecisionChoice.INT8:
        wanted = "int8-cpu"  # both engines here run on the CPU
    elif asked is PrecisionChoice.FP16:
        wanted = "fp16"
    else:
        wanted = "fp32"
    if wanted not in bundle.config.precisions:
        held = ", ".join(bundle.config.precisions)
        raise UsageError(f"{bundle.path} holds no {wanted}, only {held}; use --precision auto or export it")
    return wanted


def _open(name: EngineName, bundle: Bundle, precision: Precision, reason: str) -> Engine:
    try:
        if name is EngineName.OPENVINO:
            from colvi_edge.engines.openvino import OpenVinoEngine

            return OpenVinoEngine(bundle, precision, reason)
        from colvi_edge.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(bundle, precision, reason)
    except ModuleNotFoundError as error:
        if error.name != name.value:
            raise
        raise EngineUnavailableError(
            f"{name.value} is not installed; run: pip install {name.value}, or use --engine auto"
        ) from error
