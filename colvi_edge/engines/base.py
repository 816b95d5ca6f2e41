"""What every engine does, and the one place that chooses and opens one."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import EngineUnavailableError, ImageTooSmallError, ParityError, UsageError
from colvi_edge.patches import grid_shape

_FASTEST: Precision = "int8-cpu"
"""Of the precisions for CPUs, on both engines."""

_PRECISIONS: dict[PrecisionChoice, Precision] = {
    PrecisionChoice.FP32: "fp32",
    PrecisionChoice.FP16: "fp16",
    PrecisionChoice.INT8: "int8-cpu",
}


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
    """Open a bundle on a runtime, and try it on the bundle's verification patches.

    "auto" takes OpenVINO where it is installed, else ONNX Runtime; and INT8 where the export
    measured it on that runtime without fault and it passes here, else FP32. What was taken, and
    why, stands in `info.reason`. What is named is taken or is an error, never replaced.

    Raises:
        EngineUnavailableError: the runtime is not installed.
        ParityError: the precision that was named does not decide here as the trained network does.
        UsageError: the bundle does not hold the precision.
    """
    name, asked = EngineName(engine), PrecisionChoice(precision)
    if name is not EngineName.AUTO:
        return _open_verified(name, bundle, asked, f"{name.value} was asked for")
    try:
        return _open_verified(EngineName.OPENVINO, bundle, asked, "OpenVINO is the CPU default")
    except EngineUnavailableError:
        return _open_verified(EngineName.ONNXRUNTIME, bundle, asked, "OpenVINO is not installed")


def _open_verified(name: EngineName, bundle: Bundle, asked: PrecisionChoice, why: str) -> Engine:
    if asked is not PrecisionChoice.AUTO:
        precision = _named(bundle, asked)
        return _tried(name, bundle, precision, f"{why}; {precision} was asked for")
    held = bundle.config.precisions.get(_FASTEST)
    if held is None:
        doubt = f"the bundle holds no {_FASTEST}"
    elif not held.passed(name.value):
        doubt = f"{_FASTEST} did not pass on {name.value} at the export"
    else:
        try:
            return _tried(name, bundle, _FASTEST, f"{why}; {_FASTEST} is fastest, and passed here")
        except ParityError as error:
            doubt = str(error)
    return _tried(name, bundle, "fp32", f"{why}; fp32, because {doubt}")


def _tried(name: EngineName, bundle: Bundle, precision: Precision, reason: str) -> Engine:
    from colvi_edge.engines.verify import verify

    engine = open_exactly(name, bundle, precision, reason)
    try:
        verify(engine, bundle)
    except ParityError:
        engine.close()
        raise
    return engine


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


def _named(bundle: Bundle, asked: PrecisionChoice) -> Precision:
    precision = _PRECISIONS[asked]
    if precision not in bundle.config.precisions:
        held = ", ".join(bundle.config.precisions)
        raise UsageError(
            f"{bundle.path} holds no {precision}, only {held}; use --precision auto or export it"
        )
    return precision


def open_exactly(name: EngineName, bundle: Bundle, precision: Precision, reason: str) -> Engine:
    """Open a precision that the bundle holds on a runtime, unverified.

    Raises:
        EngineUnavailableError: the runtime is not installed.
    """
    try:
        if name == EngineName.OPENVINO:
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
