"""The one place that chooses an engine and imports its runtime."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from colvi_edge.bundle import Bundle, Precision
from colvi_edge.choices import EngineName, PrecisionChoice
from colvi_edge.engines.base import Engine, Progress
from colvi_edge.engines.cuda.gpu import find_gpu
from colvi_edge.engines.precisions import check_held, precision_for
from colvi_edge.engines.verification import verify
from colvi_edge.errors import BundleError, ColviEdgeError, EngineUnavailableError, ParityError
from colvi_edge.printable import printable_name

_TITLES = {
    EngineName.OPENVINO: "OpenVINO",
    EngineName.ONNXRUNTIME: "ONNX Runtime",
    EngineName.TENSORRT: "TensorRT",
}


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
        BundleError: the runtime does not run the network.
        EngineUnavailableError: the runtime is not installed, does not load, or finds no device.
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
    except EngineUnavailableError as error:
        lacking = str(error).partition(";")[0]
    return _open_verified(EngineName.ONNXRUNTIME, bundle, asked, f"{lacking} ({why})")


def open_exactly(
    name: EngineName, bundle: Bundle, precision: Precision, reason: str, progress: Progress = _silent
) -> Engine:
    """Open a precision that the bundle holds on a runtime, unverified.

    Raises:
        EngineUnavailableError: the runtime is not installed, does not load, or finds no device.
    """
    make: Callable[[Bundle, Precision, str], Engine]
    with _import_explained(name):
        if name == EngineName.TENSORRT:
            from colvi_edge.engines.tensorrt.engine import TensorRtEngine

            make = partial(TensorRtEngine, progress=progress)
        elif name == EngineName.OPENVINO:
            from colvi_edge.engines.openvino import OpenVinoEngine

            make = OpenVinoEngine
        else:
            from colvi_edge.engines.onnxruntime import OnnxRuntimeEngine

            make = OnnxRuntimeEngine
    return make(bundle, precision, reason)


@contextmanager
def _import_explained(name: EngineName) -> Iterator[None]:
    """Make a sentence of a runtime that is not there, or that is and lacks a library of its own."""
    try:
        yield
    except (ImportError, OSError) as error:
        module = error.name if isinstance(error, ImportError) else None
        if isinstance(error, ModuleNotFoundError) and module == name.value:
            why = f"is not installed; run: pip install {module}, or use --engine auto"
        elif str(module).startswith("colvi_edge"):
            raise
        else:
            why = f"does not load ({_in_one_line(error)}); run: pip install --force-reinstall {name.value}"
        raise EngineUnavailableError(f"{_TITLES[name]} {why}") from error


def _open_built(bundle: Bundle, asked: PrecisionChoice) -> Engine:
    """Open the TensorRT engine that was built for this machine; where there is none, raise why."""
    if find_gpu() is None:
        raise EngineUnavailableError("there is no NVIDIA GPU")
    from colvi_edge.engines.tensorrt.for_this_machine import is_built

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
        named = precision if precision == asked.value else f"{asked.value}, here {precision},"
        return _tried(name, bundle, precision, f"{why}; {named} was asked for", progress)
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
    with _network_explained(name, bundle, precision):
        engine = open_exactly(name, bundle, precision, reason, progress)
        try:
            verify(engine, bundle)
        except BaseException:
            with suppress(Exception):  # the first error says more than what it does to the end
                engine.close()
            raise
    return engine


@contextmanager
def _network_explained(name: EngineName, bundle: Bundle, precision: Precision) -> Iterator[None]:
    """Make a sentence of what a runtime raises that does not take a network, or not its first patches."""
    try:
        yield
    except Exception as error:
        # OpenVINO raises RuntimeError; the exceptions of ONNX Runtime have no class of their own in common.
        if not isinstance(error, RuntimeError) and not type(error).__module__.startswith("onnxruntime"):
            raise
        file = printable_name(str(bundle.path / bundle.config.precisions[precision].file))
        raise BundleError(
            f"{_TITLES[name]} cannot run {file} ({_in_one_line(error)}); export the model again, "
            "or name another --precision or --engine"
        ) from error


def _in_one_line(error: Exception) -> str:
    return printable_name(" ".join(str(error).split()))[:300]
