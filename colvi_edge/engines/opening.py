"""The one place that chooses an engine and imports its runtime."""

from contextlib import suppress

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines.base import Engine, Progress
from colvi_edge.engines.nvidia import find_gpu
from colvi_edge.engines.precisions import check_held, precision_for
from colvi_edge.engines.verify import verify
from colvi_edge.errors import ColviEdgeError, EngineUnavailableError, ParityError


def _silent(what: str, done: float) -> None:
    """Take the progress of a build and tell nobody."""


def open_engine(
    bundle: Bundle,
    engine: EngineName | str = EngineName.AUTO,
    precision: PrecisionChoice | str = PrecisionChoice.AUTO,
    progress: Progress = _silent,
) -> Engine:
    """Open a bundle on a runtime, and try it on the bundle's verification patches.

    "auto" takes TensorRT where an engine for this machine's GPU was built, else OpenVINO where it is
    installed, else ONNX Runtime; and the fastest precision that is trusted: FP16 on a GPU, INT8 on a
    CPU where the export measured it without fault, each only if it passes here, else FP32. What was
    taken, and why, stands in `info.reason`. What is named is taken or is an error, never replaced; a
    TensorRT engine that is named and missing is built.

    Args:
        bundle: what the engine is opened with.
        engine: what runs it.
        precision: a choice; int8 means the one made for the engine.
        progress: is told of a build, which may take minutes.

    Raises:
        EngineUnavailableError: the runtime is not installed, or finds no device that it can use.
        ParityError: the precision that was named does not decide here as the trained network does.
        UsageError: the bundle does not hold the precision.
    """
    name, asked = EngineName(engine), PrecisionChoice(precision)
    if name is not EngineName.AUTO:
        return _open_verified(name, bundle, asked, f"{name.value} was asked for", progress)
    try:
        return _open_built(bundle, asked)
    except ColviEdgeError as error:
        why = f"TensorRT was not taken: {error}"
    try:
        return _open_verified(EngineName.OPENVINO, bundle, asked, f"OpenVINO is the CPU default ({why})")
    except EngineUnavailableError:
        return _open_verified(EngineName.ONNXRUNTIME, bundle, asked, f"OpenVINO is not installed ({why})")


def open_exactly(
    name: EngineName, bundle: Bundle, precision: Precision, reason: str, progress: Progress = _silent
) -> Engine:
    """Open a precision that the bundle holds on a runtime, unverified.

    Raises:
        EngineUnavailableError: the runtime is not installed, or finds no device that it can use.
    """
    try:
        if name == EngineName.TENSORRT:
            from colvi_edge.engines.tensorrt_engine import TensorRtEngine

            return TensorRtEngine(bundle, precision, reason, progress)
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


def _open_built(bundle: Bundle, asked: PrecisionChoice) -> Engine:
    """Open the TensorRT engine that was built for this machine; where there is none, raise why."""
    if find_gpu() is None:
        raise EngineUnavailableError("there is no NVIDIA GPU")
    from colvi_edge.engines.tensorrt import is_built

    wanted = precision_for(EngineName.TENSORRT, asked)
    fitting: list[Precision] = [wanted, "fp32"] if asked is PrecisionChoice.AUTO else [wanted]
    for precision in fitting:
        if precision in bundle.config.precisions and is_built(bundle, precision):
            why = f"the {precision} engine that was built for this machine passed here"
            return _tried(EngineName.TENSORRT, bundle, precision, why)
    raise EngineUnavailableError(f"no {wanted} engine was built for this machine; run: colvi-edge build")


def _open_verified(
    name: EngineName, bundle: Bundle, asked: PrecisionChoice, why: str, progress: Progress = _silent
) -> Engine:
    precision = precision_for(name, asked)
    if asked is not PrecisionChoice.AUTO:
        check_held(precision, bundle.config.precisions, bundle.path)
        return _tried(name, bundle, precision, f"{why}; {precision} was asked for", progress)
    held = bundle.config.precisions.get(precision)
    if held is None:
        doubt = f"the bundle holds no {precision}"
    elif precision == "int8-cpu" and not held.passed(name.value):
        doubt = f"{precision} did not pass on {name.value} at the export"
    else:
        try:
            return _tried(
                name, bundle, precision, f"{why}; {precision} comes first, and passed here", progress
            )
        except ParityError as error:
            doubt = str(error)
    return _tried(name, bundle, "fp32", f"{why}; fp32, because {doubt}", progress)


def _tried(
    name: EngineName, bundle: Bundle, precision: Precision, reason: str, progress: Progress = _silent
) -> Engine:
    engine = open_exactly(name, bundle, precision, reason, progress)
    try:
        verify(engine, bundle)
    except BaseException:
        with suppress(Exception):  # the first error says more than what it does to the end
            engine.close()
        raise
    return engine
