"""The table of precisions: which of a bundle's an engine takes for the one that was asked for."""

from collections.abc import Collection

from colvi_edge.bundle import Precision
from colvi_edge.bundle.manifest import PrecisionFile
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.errors import UsageError

INT8 = "--precision int8 is the engine's own: int8-cpu on OpenVINO and ONNX Runtime, int8-trt on TensorRT."
"""What the word that is typed has to do with the words that are shown."""

_FLOATS: dict[PrecisionChoice, Precision] = {PrecisionChoice.FP32: "fp32", PrecisionChoice.FP16: "fp16"}
_CPU: dict[PrecisionChoice, Precision] = {
    **_FLOATS,
    PrecisionChoice.INT8: "int8-cpu",
    PrecisionChoice.AUTO: "int8-cpu",
}
_PRECISIONS: dict[EngineName, dict[PrecisionChoice, Precision]] = {
    EngineName.OPENVINO: _CPU,
    EngineName.ONNXRUNTIME: _CPU,
    EngineName.TENSORRT: {
        **_FLOATS,
        PrecisionChoice.INT8: "int8-trt",
        # TensorRT-RTX runs INT8 convolutions into FP32 maps, about twice as slow as FP16 by their bytes.
        PrecisionChoice.AUTO: "fp16",
    },
}


def precision_for(engine: EngineName, asked: PrecisionChoice) -> Precision:
    """Return what an engine takes for a choice; for "auto" what it tries first, which a bundle may lack."""
    return _PRECISIONS[engine][asked]


def doubt_of(held: PrecisionFile, runtime: str) -> str:
    """Return what the export found against a precision on a runtime, in words; "" if nothing."""
    failed = held.failed_on(runtime)
    return f"did not pass on {' and '.join(failed)} at the export" if failed else ""


def check_held(precision: Precision, held: Collection[Precision], bundle: object) -> None:
    """Raise UsageError unless the bundle holds the precision.

    Args:
        precision: that was asked for.
        held: all of the bundle's.
        bundle: its name in the message.
    """
    if precision not in held:
        raise UsageError(
            f"{bundle} holds no {precision}, only {', '.join(held)}; use --precision auto or export it"
        )
